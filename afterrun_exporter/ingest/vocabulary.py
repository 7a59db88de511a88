"""Words for outcomes, and names of fields that claim one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from enum import Enum, auto
from functools import lru_cache
from typing import Final

from afterrun_exporter.core.model import Kind, Outcome

Meaning = tuple[Kind, Outcome]

#: The most characters of a name or word with a meaning.
MAX_WORD: Final = 64

_OUTCOMES: Final[Mapping[Meaning, str]] = {
    (Kind.FINISH, Outcome.OK): """
        ok success succeeded complete completed okay succeed successful successfully
        completed_successfully finished_successfully done finished finalized pass passed passing fixed resolved green healthy up
        """,
    (Kind.FINISH, Outcome.FAIL): """
        fail failed failure error fails failing failures errors errored erroring broken
        broke crash crashed crashing killed aborted abort aborting terminated abnormal
        abended interrupted abandoned exception fatal critical crit emergency emerg
        panic panicked alarm alert alerting firing down red dead unhealthy bad fault faulted
        oom oom_killed out_of_memory evicted preempted lost rejected refused denied
        unsuccessful not_ok nok ko ng not_successful no_success problem disaster
        action_required startup_failure script_failure system_failure internal_error
        infrastructure_fail infrastructure_failure infra_failure node_fail node_failure
        boot_fail upstream_failed build_failed tests_failed completed_with_failures
        finished_with_failures rolled_back backoff_limit_exceeded crash_loop_back_off
        image_pull_back_off dead_letter dead_lettered
        """,
    (Kind.FINISH, Outcome.PARTIAL): """
        partial partially partial_success partial_failure partially_failed
        partially_succeeded partially_completed partially_successful unstable warning
        warn degraded yellow incomplete succeeded_with_issues success_with_warnings
        succeeded_with_warnings completed_with_errors completed_with_warnings
        completed_with_issues finished_with_errors finished_with_warnings
        """,
    (Kind.FINISH, Outcome.TIMEOUT): """
        timeout timed_out time_out timing_out deadline_exceeded deadline expired stale
        """,
    (Kind.FINISH, Outcome.CANCELED): """
        canceled cancelled cancel canceling cancelling stopped revoked superseded
        discarded
        """,
    (Kind.FINISH, Outcome.SKIPPED): """
        skipped skip skipping not_built not_run neutral noop no_op nothing_to_do
        """,
    (Kind.START, Outcome.OK): """
        start started running in_progress starting run begin began begun building
        processing executing working ongoing
        """,
    (Kind.PROGRESS, Outcome.OK): "progress progressing",
    # A waiting run has not started; a start would open a run.
    (Kind.LOG, Outcome.OK): """
        log pending queued enqueued scheduled created waiting preparing requested
        assigned accepted submitted provisioning initializing blocked paused on_hold
        manual waiting_for_resource retry retrying retried up_for_retry
        up_for_reschedule restarting deferred
        """,
}

#: The words for outcomes.
STATUSES: Final[Mapping[str, Meaning]] = {
    word: outcome for outcome, words in _OUTCOMES.items() for word in words.split()
}

#: The words that messages offer.
OFFERED: Final = "ok, fail, partial, timeout, canceled, skipped, start, progress, log"


def words(text: str) -> frozenset[str]:
    """Return the words in *text*."""
    return frozenset(text.split())


_GAPS: Final = re.compile(r"[\s_\-./]+")
_TOKENS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_WORDS: Final = {word.replace("_", ""): meaning for word, meaning in STATUSES.items()}
#: Parts of words for which a hint at a success would be wrong.
_BAD_STEMS: Final = re.compile(
    r"fail|err|abort|crit|crash|kill|dead|bad|^(no|un|in(?!_))"
)
#: Words that always mean a failure.
_PLAIN: Final = words(
    """
    fail failed failure failures error errors errored exception fatal aborted crashed
    panic traceback
    """
)
#: Phrases of shells and kernels that always mean a failure.
_PHRASES: Final = re.compile(
    r"\b(exit(ed)?( with)?( non-?zero)? (code|status)[ :=]{0,3}-?0*[1-9]"
    r"|exit -?0*[1-9][0-9]{0,2}$|command not found|no space left on device"
    r"|segmentation fault|core dumped|permission denied|connection refused)",
    re.IGNORECASE,
)
_NEGATIONS: Final = words("no not non without none never zero 0 any if")


def meaning(text: str) -> Meaning | None:
    """Return the meaning of a word for an outcome, in any case and spelling."""
    if (exact := STATUSES.get(text)) is not None:
        return exact
    if len(text) > MAX_WORD:
        return None
    return _WORDS.get(joined(text))


def meaning_of_prose(text: str) -> Meaning | None:
    """Return the meaning of a phrase that plainly reports a failure.

    A phrase with a negation ("0 failed, 3 ok") is not plain.
    """
    tokens = [word.lower() for word in _TOKENS.findall(text[:1000])]
    if not _NEGATIONS.isdisjoint(tokens):
        return None
    failure = (Kind.FINISH, Outcome.FAIL)
    return failure if failure in map(_WORDS.get, tokens) else None


def meaning_of_event(text: str) -> Meaning | None:
    """Return the meaning of an event that begins or fails a run: ``job.failed``.

    What is done to failures (``remove_failed``, ``on_failure``) is no event of a run.
    """
    parts = [word.lower() for word in _TOKENS.findall(text[:MAX_WORD])]
    if not parts or (len(parts) > 1 and parts[0].removesuffix("s") not in _WORK):
        return None
    if parts[-1] in _BAD_ENDS and _NEGATIONS.isdisjoint(parts):
        return _WORDS[parts[-1]]
    return _WORDS[parts[0]] if parts in (["start"], ["started"]) else None


def reads_like_failure(text: str) -> bool:
    """Return True if a text of any kind plainly reports a failure."""
    if _PHRASES.search(text) is not None:
        return True
    tokens = [word.lower() for word in _TOKENS.findall(text)]
    return not _PLAIN.isdisjoint(tokens) and _NEGATIONS.isdisjoint(tokens)


def hint(word: str) -> str | None:
    """Return the word of an outcome that *word* is a misspelling of.

    None rather than one of another meaning.
    """
    text = word.strip().lower()[:MAX_WORD]
    for near in get_close_matches(text, STATUSES, n=3, cutoff=0.8):
        plain = STATUSES[near][1] is Outcome.FAIL or not _BAD_STEMS.search(text)
        if near[0] == text[0] and abs(len(near) - len(text)) <= 2 and plain:
            return near
    return None


def joined(text: str) -> str:
    """Return *text* in lower case, without what separates its words."""
    return _GAPS.sub("", text).strip("!").casefold()


class Sense(Enum):
    """The way in which the value of a field claims an outcome."""

    #: A word for an outcome; any other word is a claim that cannot be read.
    STATUS = auto()
    #: Like `STATUS`, but it may be any other word if another claim can be read.
    STATE = auto()
    #: A word for an outcome, or any other word.
    PHASE = auto()
    #: The name of an event, such as `job.failed`.
    EVENT = auto()
    #: The state of something else, of which only failures count.
    OTHER_STATE = auto()
    #: True or 1 for a success.
    SUCCESS = auto()
    #: Like `SUCCESS`, or the number of successes.
    SUCCESSES = auto()
    #: True or False for the success of a part.
    PART = auto()
    #: True if the work is complete, False if work remains.
    COMPLETE = auto()
    #: An error, or the number of errors.
    ERROR = auto()
    #: An error if it is more than a number.
    ERROR_TEXT = auto()
    #: True for a run that was ended early.
    TIMEOUT = auto()
    CANCELED = auto()
    SKIPPED = auto()
    EXIT_CODE = auto()
    HTTP_STATUS = auto()
    #: The name of the signal that ended the process.
    SIGNAL = auto()
    #: The level of a log line.
    LEVEL = auto()


def _table(names: Mapping[Sense, str]) -> dict[str, Sense]:
    return {
        name.replace("_", ""): sense
        for sense, text in names.items()
        for name in text.split()
    }


_SENSES: Final = _table(
    {
        Sense.STATUS: """
            status outcome conclusion verdict build_status job_status run_status
            final_status overall_status
            """,
        Sense.STATE: "state result results health disposition",
        Sense.PHASE: "phase",
        Sense.EVENT: """
            event event_type event_name type kind action reason trigger code
            message_type completion final overall
            """,
        Sense.PART: "pass worked valid good",
        Sense.ERROR_TEXT: """
            errmsg exc exc_info fault_string abort_reason crash_reason error_occurred
            errors_occurred incomplete corrupt corrupted rolled_back
            """,
        Sense.SUCCESS: "success ok okay healthy up alive",
        Sense.SUCCESSES: "successful successfully succeeded succeed successes passed",
        Sense.COMPLETE: "complete completed finished done",
        Sense.ERROR: """
            fail fails failed failing failure failures error errors err errs errored
            exception exceptions traceback tracebacks stack_trace backtrace crash
            crashed crashes fatal panic panicked broken killed aborted terminated
            interrupted oom oom_killed down degraded unhealthy unsuccessful problem
            problems fault error_count errors_count error_total errors_total
            total_errors num_errors number_of_errors n_errors failure_count
            failures_count failed_count failure_total failures_total total_failures
            total_failed num_failures num_failed number_of_failures n_failures n_failed
            fail_count failed_at errored_at crashed_at aborted_at
            """,
        Sense.TIMEOUT: "timeout timed_out deadline_exceeded",
        Sense.CANCELED: "canceled cancelled",
        Sense.SKIPPED: "skipped",
        Sense.EXIT_CODE: """
            exit_code exit_codes exit_status exit_value exit_val exit return_code
            return_status return_value ret_code ret_val ret rc r_code exit_cd
            error_level errno last_exit_code process_exit_code result_code pipe_status
            """,
        Sense.HTTP_STATUS: """
            status_code http_status http_code http_status_code response_code
            response_status
            """,
        Sense.SIGNAL: "signal term_signal term_sig exit_signal",
        Sense.LEVEL: "level log_level level_name severity",
    }
)
#: The last word of a longer name, and its sense there.
_LAST: Final = _table(
    {
        Sense.OTHER_STATE: "status outcome conclusion state result phase health",
        Sense.PART: "success ok healthy successful succeeded passed",
        Sense.ERROR_TEXT: """
            error errors err failed failure failures exception exceptions traceback
            crashed broken aborted killed
            """,
        Sense.TIMEOUT: "timeout",
    }
)
#: The last word after the name of work that either succeeds or fails.
_LAST_OF_WORK: Final = _LAST | _table(
    {
        Sense.STATE: "status outcome conclusion state result health",
        Sense.PHASE: "phase",
        Sense.SUCCESS: "success ok healthy",
        Sense.SUCCESSES: "successful succeeded passed",
        Sense.ERROR: "error errors failed failure",
    }
)
_WORK: Final = words(
    """
    job run build task backup pipeline workflow execution process script command deploy
    deployment step exit import export sync etl restore migration any final overall
    """
)
#: The last word of an event that is a failure.
_BAD_ENDS: Final = words("failed failure failing error errored crashed aborted timeout")
_STATES: Final = words("status state outcome result conclusion")
_STATE_PARTS: Final = words("text name type value string label")
_AUXILIARIES: Final = words("is was has had have did")
_EXITS: Final = ("exitcode", "exitstatus", "returncode", "rc")
_EXIT_WORDS: Final = frozenset({"code", "status", *_EXITS})
_ERROR_FIRST: Final = words("error errors failure failures failed exception fail err")
_ERROR_LAST: Final = words(
    """
    message msg text detail details description desc reason reasons type name class info
    summary string str list cause trace stack number items tests jobs steps tasks hosts
    files rows records checks
    """
)
#: Words in names that are not about this run.
_ELSEWHERE: Final = words(
    """
    previous prev prior former old before expected desired target allowed ignored ignore
    threshold standard std cycle lifecycle retry max min on if
    """
)


@lru_cache(maxsize=8192)
def sense_of(name: str) -> Sense | None:
    """Return the way in which a field of this name claims an outcome."""
    if len(name) > MAX_WORD:
        return None
    if (sense := _SENSES.get(joined(name))) is not None:
        return sense
    parts = [word.lower() for word in _TOKENS.findall(name)]
    if len(parts) < 2 or not _ELSEWHERE.isdisjoint(parts):
        return None
    return _sense_of_parts(parts)


def _sense_of_parts(parts: list[str]) -> Sense | None:
    last = parts[-1]
    if last in _EXIT_WORDS and "".join(parts).endswith(_EXITS):
        return Sense.EXIT_CODE
    if parts[0] in _AUXILIARIES:
        return _SENSES.get("".join(parts[1:])) or _sense_of_parts(["", *parts[1:]])
    if parts[-2] in _ERROR_FIRST:
        if last == "code":
            return Sense.ERROR
        if last in _ERROR_LAST:
            return Sense.ERROR_TEXT
    if last in _STATE_PARTS and parts[-2] in _STATES:
        return Sense.OTHER_STATE
    sense = (_LAST if _WORK.isdisjoint(parts[:-1]) else _LAST_OF_WORK).get(last)
    # "last_status" is about the previous run; "last_error" may be about this one.
    return None if "last" in parts and sense is not Sense.ERROR_TEXT else sense
