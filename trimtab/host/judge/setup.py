"""What an agent needs before it starts: settings, its port, its state directory, a controller that knows it."""

from ipaddress import ip_address

from trimtab.host.facts import (
    CREDENTIAL,
    JOIN_TOKEN,
    ControllerFacts,
    FilesFacts,
    Identity,
    NoAnswer,
    PortFacts,
    SettingsFacts,
    StateFacts,
)
from trimtab.host.findings import Finding, blocks, note, ok, unknown, warning

MODE_MAX = 0o640
STATE_FREE_MIN = 100 * 1024 * 1024
"""The journal is rewritten at 2 MB, a log set aside at 16 MB: below this, writing soon fails."""
STATE_FREE_LOW = 1024 * 1024 * 1024
FREE_FILES_LOW = 0.05
CERTIFICATE_DAYS_LOW = 14.0
"""Two weeks are enough to renew one by hand."""
OFFSET_S_NOTABLE = 2.0
"""Orders bear a difference, because the agent reckons in the controller's time; Prometheus and people do not."""
OFFSET_S_MAX = 30.0
"""Certificates and tokens are judged by the own clock; half a minute apart, one of the two clocks is simply wrong."""
JOIN_ONLY = "opens nothing but a credential"
"""In the controller's refusal of a report with a join token that it does accept for joining."""
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, UNPROCESSABLE, UNAVAILABLE = 401, 403, 404, 422, 503


def judge_settings(facts: SettingsFacts) -> list[Finding]:
    """The file, variable by variable, and who may read it."""
    if facts.trouble:
        return [blocks("settings", f"{facts.path}: {facts.trouble}", "trimtab agent install")]
    found = [
        blocks(
            "settings",
            f"{name}: {fault}" if name else fault,
            f"set {name} in {facts.path}" if name else f"correct {facts.path}",
        )
        for name, fault in facts.faults.items()
    ]
    for name, meant in facts.unknown.items():
        fix = f"did you mean {meant}?" if meant else f"remove it from {facts.path}"
        found.append(warning("settings", f"{name} is no setting of this version: the agent ignores it", fix))
    if not found:
        found.append(ok("settings", f"{facts.path} can be used"))
    too_open = facts.mode & ~MODE_MAX
    if too_open and facts.has_secret:
        fix = f"chown root:trimtab {facts.path}; chmod 0640 {facts.path}"
        found.append(blocks("permissions", f"{facts.path} holds a token and has mode {facts.mode:04o}", fix))
    elif too_open:
        found.append(warning("permissions", f"{facts.path} has mode {facts.mode:04o}", f"chmod 0640 {facts.path}"))
    return found


def judge_files(facts: FilesFacts, identity: Identity) -> list[Finding]:
    """Whether the agent can read what its settings name, and others cannot."""
    found = [
        blocks(
            "permissions",
            f"{identity.user} cannot read {path} ({name})",
            f"chown root:{identity.user} {path}; chmod 0640 {path}",
        )
        for name, path in facts.unreadable.items()
    ]
    found += [
        blocks("permissions", f"everybody may read {path} ({name}), which holds a secret", f"chmod o= {path}")
        for name, path in facts.too_open.items()
    ]
    return found


def judge_port(facts: PortFacts) -> list[Finding]:
    """Whether the agent can listen, or does."""
    where = f"{facts.address}:{facts.port}"
    if not facts.bound_here:
        fix = "set TRIMTAB_AGENT_ADDRESS to an address of this host"
        return [blocks("port", f"{facts.address} is no address of this host", fix)]
    if facts.agent_answers:
        return [ok("port", f"an agent listens on {where}")]
    if not facts.free:
        fix = "stop that program, or set TRIMTAB_AGENT_PORT"
        return [blocks("port", f"{where} is used by {facts.owner}", fix)]
    return [ok("port", f"{where} is free")]


def judge_scraping(facts: PortFacts, controller_url_is_local: bool) -> list[Finding]:
    """Whether Prometheus, which is told this address by the controller, can reach it."""
    address = ip_address(facts.address)
    if address.is_unspecified:
        fix = "set TRIMTAB_AGENT_ADDRESS to the address that Prometheus reaches this host at"
        return [blocks("scraping", f"{facts.address} is every address and none: Prometheus is told it literally", fix)]
    if address.is_loopback and not controller_url_is_local:
        fix = "set TRIMTAB_AGENT_ADDRESS to the address that Prometheus reaches this host at"
        return [warning("scraping", f"/metrics listens on {facts.address}, which only this host reaches", fix)]
    return [ok("scraping", f"/metrics listens on {facts.address}")]


def judge_state(facts: StateFacts, identity: Identity) -> list[Finding]:
    """Whether the journal can be kept."""
    if not facts.exists:
        if facts.made_by_unit:
            return [note("state", f"{facts.path} is made when the service starts")]
        fix = f"install -d -o {identity.user} -g {identity.user} -m 0750 {facts.path}"
        return [blocks("state", f"{facts.path} does not exist", fix)]
    if facts.read_only:
        fix = "mount it writable, or set TRIMTAB_AGENT_STATE_DIR elsewhere"
        return [blocks("state", f"{facts.path} is on a read-only file system", fix)]
    if not facts.writable:
        evidence = f"{identity.user} may not write {facts.path} (owner {facts.owner_id}, mode {facts.mode:04o})"
        return [blocks("state", evidence, f"chown -R {identity.user}:{identity.user} {facts.path}")]
    return [_judge_space(facts)]


def _judge_space(facts: StateFacts) -> Finding:
    free = f"{facts.free_bytes / 1024**3:.1f} GiB free for {facts.path}"
    if facts.free_bytes < STATE_FREE_MIN:
        return blocks("disk", free, "make room: without it no order can be journaled, so none is executed")
    if facts.free_bytes < STATE_FREE_LOW:
        return warning("disk", free, "make room before it is below 0.1 GiB")
    if facts.free_files_ratio < FREE_FILES_LOW:
        return warning(
            "disk", f"{facts.free_files_ratio:.0%} of the file entries free for {facts.path}", "delete files"
        )
    return ok("disk", free)


# ── controller ────────────────────────────────────────────────────────────────────────────────────────────────────────
def judge_controller(facts: ControllerFacts, *, is_local: bool) -> list[Finding]:
    """Reachable, ours, and willing to hear this host."""
    if facts.no_answer is not None:
        return [_judge_silence(facts, facts.no_answer)]
    found = [_judge_token(facts), *_judge_way(facts, is_local=is_local)]
    if facts.version and facts.version != facts.own_version:
        evidence = f"this host has version {facts.own_version}, the controller {facts.version}"
        found.append(note("versions", f"{evidence}; the contract between them has a version of its own"))
    elif facts.version:
        found.append(ok("versions", f"{facts.own_version} here and there"))
    return found


def _judge_silence(facts: ControllerFacts, why: NoAnswer) -> Finding:
    evidence = f"no answer from {facts.url}: {facts.detail}"
    fixes = {
        NoAnswer.NAME: "correct TRIMTAB_AGENT_CONTROLLER_URL, or the name service of this host",
        NoAnswer.REFUSED: "start the controller, or correct the port in TRIMTAB_AGENT_CONTROLLER_URL",
        NoAnswer.TIMEOUT: "let this host's connections through to it (firewall, routing)",
        NoAnswer.TLS: "install the authority of its certificate on this host (update-ca-certificates)",
        NoAnswer.OTHER: "look at the controller's log",
    }
    return blocks("controller", evidence, fixes[why])


def _judge_token(facts: ControllerFacts) -> Finding:
    if facts.status == UNPROCESSABLE:
        how = f"takes {facts.shown}" if facts.shown else "asks for no token"
        return ok("controller", f"{facts.url} answers and {how}")
    if facts.status == FORBIDDEN and facts.shown == JOIN_TOKEN and JOIN_ONLY in facts.refusal:
        return ok("controller", f"{facts.url} takes the join token; the agent gets a credential with it when it starts")
    if facts.status in {UNAUTHORIZED, FORBIDDEN}:
        return _judge_refusal(facts)
    if not facts.is_ours or facts.status == NOT_FOUND:
        fix = "correct TRIMTAB_AGENT_CONTROLLER_URL"
        return blocks("controller", f"what answers at {facts.url} is not a controller ({facts.status})", fix)
    if facts.status == UNAVAILABLE:
        return warning("controller", f"{facts.url} is there and busy ({facts.status})", "wait, and look at its log")
    return unknown("controller", f"{facts.url} gave the unexpected status {facts.status}", "look at its log")


def _judge_refusal(facts: ControllerFacts) -> Finding:
    words = f"{facts.status}: {facts.refusal}" if facts.refusal else str(facts.status)
    if not facts.shown:
        fix = "set TRIMTAB_AGENT_TOKEN, or TRIMTAB_AGENT_TOKEN_FILE, to the controller's agent token"
        return blocks("controller", f"{facts.url} asks for a token, and none is set", fix)
    if facts.shown == CREDENTIAL:
        evidence = f"{facts.url} does not take this host's credential ({words})"
        return warning("controller", evidence, facts.remedy or "the agent joins again with the join token by itself")
    fix = (
        facts.remedy
        if facts.status == FORBIDDEN and facts.remedy
        else "set TRIMTAB_AGENT_TOKEN as the controller has it"
    )
    return blocks("controller", f"{facts.url} does not take the join token ({words})", fix)


def _judge_way(facts: ControllerFacts, *, is_local: bool) -> list[Finding]:
    """TLS and time."""
    found = []
    if facts.certificate_days is not None:
        days = f"its certificate is valid for {facts.certificate_days:.0f} more days"
        low = facts.certificate_days < CERTIFICATE_DAYS_LOW
        found.append(warning("tls", days, "renew it") if low else ok("tls", days))
    elif facts.shown and not is_local:
        fix = "put TLS in front of the controller and write https:// in TRIMTAB_AGENT_CONTROLLER_URL"
        found.append(warning("tls", f"the token travels unencrypted to {facts.url}", fix))
    if facts.clock_offset_s is not None:
        found.append(_judge_offset(facts.clock_offset_s))
    return found


def _judge_offset(offset_s: float) -> Finding:
    """The Date header has whole seconds, so one second of difference is none."""
    evidence = f"the controller's clock is {abs(offset_s):.0f} s {'ahead' if offset_s > 0 else 'behind'}"
    fix = "run chrony or systemd-timesyncd on both"
    if abs(offset_s) >= OFFSET_S_MAX:
        return blocks("clock", evidence, fix)
    if abs(offset_s) >= OFFSET_S_NOTABLE:
        return warning("clock", evidence, fix)
    return ok("clock", "the same time here and at the controller")
