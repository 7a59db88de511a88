// Keeps a page up to date: fetches it again and swaps the parts that changed. Without
// it everything works, and shows how things were when the page was loaded.
"use strict";

(() => {
  const every = Number(document.body.dataset.liveEvery || 0) * 1000;
  const offline = document.getElementById("offline");
  const said = document.getElementById("said");
  // Where there is news; what was asked of the page besides is not asked again.
  const address = document.body.dataset.liveAt || location.href.split("#")[0];
  let timer = 0;
  let under_way = false;

  // What somebody types or has opened is theirs.
  const busy = (part) => {
    const focused = document.activeElement;
    return part.contains(focused) && focused.matches("input, select, textarea");
  };

  const keep_open = (from, to) => {
    for (const old of from.querySelectorAll("details[id]")) {
      const fresh = to.querySelector(`#${CSS.escape(old.id)}`);
      if (fresh) fresh.open = old.open;
    }
  };

  const swap = (old, fresh) => {
    keep_open(old, fresh);
    if (old.isEqualNode(fresh) || busy(old)) return;
    const focused = old.contains(document.activeElement) ? focus_of(old) : null;
    const scrolled = [...old.querySelectorAll(".scroll[id], pre")].map((box) => box.scrollLeft);
    old.replaceWith(document.adoptNode(fresh));
    [...fresh.querySelectorAll(".scroll[id], pre")].forEach((box, at) => {
      box.scrollLeft = scrolled[at] || 0;
    });
    if (focused) focused(fresh);
  };

  // What has the focus is found again by its id, its address or its place.
  const focus_of = (old) => {
    const it = document.activeElement;
    const key = it.id ? `#${CSS.escape(it.id)}`
      : it.tagName === "SUMMARY" && it.parentElement.id ? `#${CSS.escape(it.parentElement.id)} > summary`
      : it.getAttribute("href") ? `a[href="${CSS.escape(it.getAttribute("href"))}"]`
      : it.tagName.toLowerCase();
    const place = [...old.querySelectorAll(key)].indexOf(it);
    return (fresh) => {
      const found = fresh.querySelectorAll(key);
      (found[place] || found[0])?.focus({ preventScroll: true });
    };
  };

  const announce = (page) => {
    const told = page.querySelector("[data-say]")?.dataset.say;
    const before = document.querySelector("[data-say]")?.dataset.say;
    if (told && told !== before) said.textContent = told;
  };

  const refresh = async () => {
    if (under_way || document.hidden) return;
    under_way = true;
    const y = window.scrollY;
    try {
      const answer = await fetch(address, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(15000) });
      if (!answer.ok) throw new Error(answer.statusText);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      announce(page);
      for (const old of document.querySelectorAll("[data-live][id]")) {
        const fresh = page.getElementById(old.id);
        if (fresh) swap(old, fresh);
      }
      document.title = page.title;
      if (window.scrollY !== y) window.scrollTo({ top: y, behavior: "instant" });
      offline.hidden = true;
    } catch {
      offline.hidden = false;
    } finally {
      under_way = false;
    }
  };

  const plan = () => {
    clearInterval(timer);
    if (!document.hidden) timer = setInterval(refresh, every);
  };

  if (every) {
    plan();
    document.addEventListener("visibilitychange", () => {
      plan();
      refresh();
    });
  }

  // What was done is told once, not again when the page is loaded anew.
  if (new URLSearchParams(location.search).has("done")) {
    const address = new URL(location.href);
    address.searchParams.delete("done");
    history.replaceState(null, "", address);
  }

  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, select, textarea")) return;
    event.preventDefault();
    document.getElementById("q")?.focus();
  });
})();
