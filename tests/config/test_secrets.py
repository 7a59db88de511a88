"""No message about a configuration repeats a secret in it, wherever it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from afterrun_exporter.config import parse, warnings
from afterrun_exporter.config.web_loading import load_web
from afterrun_exporter.errors import ConfigError
from tests.core.jobs import at

MARK = "Marked"
SECRET = "ar_" + MARK * 4
#: A secret in digits alone.
NUMBER = "3141592653"

RECEIVER = "alertmanager:\n  receivers:\n    team: [{%s}]\n"
#: Where people write secrets, rightly or not: % stands for one.
PLACES = {
    "auth": "auth: %\n",
    "tokens": "auth:\n  tokens: %\n",
    "a token": "auth:\n  tokens: [%]\n",
    "hash": "auth:\n  tokens: [{name: a, hash: %, scopes: [ping]}]\n",
    "token": "auth:\n  tokens: [{name: a, token: %, scopes: [ping]}]\n",
    "projects": "projects: %\n",
    "a project": "projects: {web: %}\n",
    "ping_key": "projects: {web: {ping_key: %}}\n",
    "api_key": "projects: {web: {api_key: %}}\n",
    "alertmanager": "alertmanager: %\n",
    "push_to": "alertmanager: {push_to: %}\n",
    "an Alertmanager": "alertmanager: {push_to: [%]}\n",
    "reload_url": "alertmanager: {reload_url: %}\n",
    "smtp": "alertmanager: {smtp: %}\n",
    "smarthost": "alertmanager: {smtp: {smarthost: %}}\n",
    "auth_password": "alertmanager: {smtp: {auth_password: %}}\n",
    "auth_password_file": "alertmanager: {smtp: {auth_password_file: %}}\n",
    "receivers": "alertmanager: {receivers: %}\n",
    "a receiver": "alertmanager: {receivers: {team: %}}\n",
    "slack_url_file": "alertmanager: {slack_url_file: %}\n",
    "slack": RECEIVER.replace("%s", "slack: %"),
    "slack.url_file": RECEIVER.replace("%s", "slack: {url_file: %}"),
    "slack.url": RECEIVER.replace("%s", "slack: {url: %}"),
    "discord": RECEIVER.replace("%s", "discord: %"),
    "discord.url_file": RECEIVER.replace("%s", "discord: {url_file: %}"),
    "webhook": RECEIVER.replace("%s", "webhook: %"),
    "webhook.url": RECEIVER.replace("%s", "webhook: {url: %}"),
    "webhook.authorization": RECEIVER.replace(
        "%s", "webhook: {url: 'https://x', authorization: %}"
    ),
    "webhook.authorization_file": RECEIVER.replace(
        "%s", "webhook: {url: 'https://x', authorization_file: %}"
    ),
    "pagerduty": RECEIVER.replace("%s", "pagerduty: %"),
    "pagerduty.routing_key": RECEIVER.replace("%s", "pagerduty: {routing_key: %}"),
    "pagerduty.routing_key_file": RECEIVER.replace(
        "%s", "pagerduty: {routing_key_file: %}"
    ),
    "password of a database": "storage: %\n",
    "nothing else": "%\n",
}
#: The same in a web configuration.
WEB_PLACES = {
    "users": "basic_auth_users: %\n",
    "password": "basic_auth_users: {admin: %}\n",
    "TLS": "tls_server_config: %\n",
    "key": "tls_server_config: {cert_file: c, key: %}\n",
    "key_file": "tls_server_config: {cert_file: c, key_file: %}\n",
    "headers": "http_server_config: {headers: {Authorization: %}}\n",
    "nothing else": "%\n",
}
#: What a secret looks like, and what goes wrong when one is written.
VALUES = {
    "plain": SECRET,
    "in quotes": f"'{SECRET}'",
    "a blank in it": f"'{SECRET} x'",
    "a header": f"Bearer {SECRET}",
    "a list": f"[{SECRET}]",
    "a value of keys": f"{{a: {SECRET}}}",
    "an open quote": f"'{SECRET}",
    "a bad escape": f'"{SECRET}\\q"',
    "a line end": f'"{SECRET}\\n"',
    "a NUL": f'"{SECRET}\\0"',
    "a tab": f"{SECRET}\tx",
    "a bell": f"{SECRET}\x07",
    "an asterisk before it": f"*{SECRET}",
    "an exclamation mark before it": f"!{SECRET}",
    "an ampersand before it": f"&{SECRET}",
    "a per cent sign before it": f"%{SECRET}",
    "an at sign before it": f"@{SECRET}",
    "an open bracket before it": f"[{SECRET}",
    "a colon in it": f"a: {SECRET}: x",
    "a number sign in it": f"a#{SECRET}",
    "letters": f"{SECRET}é",
    "binary": f"!!binary {SECRET}",
    "base64": f"!!python/name:{SECRET}",
    "a digest": f"sha256:{SECRET}",
    "long": SECRET * 50,
    "digits": NUMBER,
    "a list of digits": f"[{NUMBER}]",
    "user and password": f"smtp:{SECRET}@mail.example:25",
    "a URL with a password": f"http://user:{SECRET}@host.example:9093",
    "a URL with a bad port": f"http://user:{SECRET}@host.example:99999",
    "a URL with a token": f"https://host.example/hook?token={SECRET}",
    "a URL with a fragment": f"'https://host.example/#{SECRET}'",
    "a URL that is the secret": f"https://hooks.slack.com/services/{SECRET}",
}


def is_told(text: str) -> bool:
    return MARK in text or NUMBER in text


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_no_message_has_a_secret(place: str) -> None:
    for name, value in VALUES.items():
        text = place.replace("%", value) + "jobs: {a: {}}\n"
        try:
            said = repr(warnings(text, parse(text), at("21 12:00")))
        except ConfigError as error:
            said = f"{error} {error!r} {error.__cause__!r} {error.__context__!r}"

        assert not is_told(said), name


@pytest.mark.parametrize("place", WEB_PLACES.values(), ids=WEB_PLACES)
def test_no_message_about_a_web_configuration_has_a_secret(
    tmp_path: Path, place: str
) -> None:
    file = tmp_path / "web.yml"
    for name, value in VALUES.items():
        file.write_text(place.replace("%", value), "utf-8")
        try:
            load_web(file)
            said = ""
        except ConfigError as error:
            said = f"{error} {error!r}"

        assert not is_told(said), name


@pytest.mark.parametrize(
    "place", [place for name, place in PLACES.items() if name.endswith("_file")]
)
def test_a_secret_url_in_the_place_of_its_file_is_refused(place: str) -> None:
    """It would be in the files that are generated, which everybody may read."""
    text = place.replace("%", VALUES["a URL that is the secret"]) + "jobs: {a: {}}\n"

    with pytest.raises(ConfigError, match="is a URL: write it to a file"):
        parse(text)
