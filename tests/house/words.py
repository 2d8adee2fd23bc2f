"""The words that the prose rule refuses, and the verbs that open a docstring or a commit. Extend the lists here."""

import re

OPENINGS = (
    "who|whoever|whom|whomever|whose|what|whatever|those|nobody|no one|everybody|everyone|somebody|anybody|anyone|none"
    "|so much|so long|so many|so few|so little|of|as much|as many|he who|one who|such as"
)
"""No sentence opens with one of these: its subject is a thing of the system."""

HEADLESS = re.compile(rf"(?:{OPENINGS})\b", re.IGNORECASE)

COINED = {
    "abandon, abort": r"forsak\w*|forsook",
    "unregister": r"disown\w*",
    "Abortable": r"wards?",
    "name the client, the caller, the thread": r"whoever|whomever|so much of|at (?:its|their) hands",
    "continue": r"(?:go|goes|going|gone|went) on with",
    "finish": r"(?:have|has|had|having) done with",
    "always, without end": r"for ever",
    "invalid, useless": r"no good",
    "is not affected": r"(?:is|are|was|were|be|been) spared",
    "is late, lags": r"who is behind|(?:is|are|was|were) behind(?=[,.;:]|$| by\b| and\b)",
    "standby": r"(?:the|a|an|its|one|no|this|that|each) spares?(?! time)",
    "switch over, connect": r"(?:un)?plug(?:s|ged|ging)?(?: (?:it|them|him|together))? (?:in|into|out|together)",
    "already sent": r"told ahead|told before",
    "receive, be notified (told: speech)": r"(?:is|are|was|were|be|been|being|got)(?: \w+ly| not| never)? told",
    "know (heard: speech)": r"heard of",
    "response request": r"(?:a|the|its|one|every|each|no) wants?",
    "unhealthy, problem": r"ailments?|(?:is|are|was|were|falls?|fell) ill|not well(?!-)|ails|ailing",
    "scoreboard": r"(?:the|a|its|our) boards?",
    "CallPacer": r"(?:the|a|its|our) doors?|doorkeepers?",
    "the hooks pool, the setup pool": r"tellers?|preparers?",
    "notification, event": r"news",
}
"""The plain wording to the pattern of the banned one. A pattern matches whole words, in any case."""

BANNED = re.compile(rf"\b(?:{'|'.join(COINED.values())})\b", re.IGNORECASE)

RENAMED = {
    "resent_chars, sent_chars": "told_ahead told_to is_untold tell_once is_told",
    "ResponseRequest": "want_now goes_on_after",
    "high_water, low_water": "busy_above resume_below",
    "BufferedSocket": "HeardSocket",
    "linger_s": "patience_s",
    "LAG_LIMIT_S, lag_s": "BEHIND_S behind_s",
    "SessionEnding": "Farewell",
    "ResetRestartBudget": "RefillBudget",
    "UpstreamRequested, UpstreamReleased": "UpstreamWanted UpstreamUnwanted",
    "FunctionRegistry, WorkRunner": "Toolbox Performer",
    "validate": "find_fault",
    "on_session_created, is_created": "is_greeted",
    "standby": "SpareState spare_state SPARE",
}
"""Names of the code that must be gone from the prose, backticks included."""

OLD_NAMES = re.compile(rf"(?<![\w/-])(?:{'|'.join(' '.join(RENAMED.values()).split())})(?!\w)")

_VERBS = """
abandon abort accept acknowledge acquire acquit activate adapt add address adjust adopt advance allocate allow alternate
announce answer append apply approximate arm ask assemble assert assign associate attach attempt audit authenticate
authorize await balance ban begin bill bind block book bound break bring broadcast buffer build bump cache calculate
call cancel cap capture carry cast catch change check choose cite claim clamp classify clean clear close coalesce
collect combine commit compare compile complete compose compress compute concatenate configure confirm connect consume
contain continue convert copy correct count cover create cut date debug decide decline decode decrease decrement
deduplicate defer define delay delegate delete deliver demand deny deregister derive describe deserialize detach detect
determine dial disable discard disconnect dispatch display dispose distribute divide do double downmix draft drain draw
drive drop dump duplicate echo edit emit empty enable encode end enforce enqueue ensure enter enumerate erase escape
establish estimate evaluate examine exchange exclude execute exercise exit expand expect expire explain export expose
extend extract fail fan feed fetch fill filter find finish fire fit fix flag flatten flush fold follow forbid force
forget fork fuzz format forward freeze gather generate get give grant grow guard guess halt hand handle hang hash hear
hide hold ignore implement import include increase increment index infer inform inherit initialize inject insert inspect
install instruct interleave interpolate interpret interrupt intersect invalidate invert invoke iterate join judge keep
kill know launch lead leave let lift limit link list listen load locate lock log look lower make map mark mask match
measure mend mention merge mirror mix mock modify monitor mount move multiply mute name narrow negotiate normalize note
notify number obey observe obtain occupy offer omit open order outline overwrite owe pace pack pad parse partition pass
patch pause peek perform permit persist pick ping place plan play poll pop populate post postpone precompute prefer
prepare prepend present preserve press prevent print probe proceed process produce promote propagate protect prove
provide prune publish pull push put query queue quote raise rank rate reach read rebuild recall receive recognize
reconcile reconfigure reconnect record recover redact redial redirect reduce refill refresh refuse regard register
reject relabel relate relay release reload rely remember remind remove rename render renew reorder repair repeat
rephrase replace replay reply report represent request require reraise resample reschedule resend reserve reset resize
resolve respond restart restore restrict resume retain retire retrieve retry return reuse reverse revert review revoke
rewind reword rewrite ring roll rotate round route run sample sanitize save say scale scan schedule script search seek
select send separate serialize serve set settle shape share shift ship shorten show shrink shuffle shut signal silence
simulate size skip sleep slice smooth solve sort span spawn speak specify split spread stamp start state stop store
straighten stream strip submit subscribe subtract suggest sum summarize supervise supply support suppress suspend swap
switch synchronize synthesize tag take tap talk tear terminate test throttle tick time toggle touch trace track train
transcode transcribe transfer transform transition translate transmit traverse treat trigger trim truncate try tune turn
type unblock undo unify unmask unpack unregister unset unwrap update upgrade use validate verify visit wait wake walk
warm warn watch weigh wire withdraw withhold wrap write yield zero
"""

VERBS = frozenset(_VERBS.split())
"""Imperatives. "tell", "hear" and "say" are not here: they are for speech alone."""

COMMIT_VERBS = VERBS | {"tell"}
"""The verbs of commit subjects. In one of them, "tell apart" means to distinguish."""


def instead_of(found):
    """Return what to write instead of a banned phrase."""
    return next(better for better, pattern in COINED.items() if re.fullmatch(pattern, found, re.IGNORECASE))
