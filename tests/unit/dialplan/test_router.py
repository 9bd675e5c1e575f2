"""Which rule wins, and why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.call.line import CallFacts
from gateway.config.dialplans import Answer, Context, Dialplan, Extension, HangUp, Jump, Talk
from gateway.dialplan.conditions import misfit, specificity
from gateway.dialplan.router import Verdict, explain, follow, route

STEPS = ({"hang_up": {}},)


def rule(name, **conditions):
    return Extension.model_validate({"name": name, "steps": STEPS, **conditions})


def plan_of(*rules, trunk_contexts=None, **others):
    contexts = {"default": Context(extensions=rules), **others}
    return Dialplan("a", contexts=contexts, trunk_contexts=trunk_contexts or {})


def call(called="5500", caller="123", trunk="", **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return CallFacts("id", "in", called, caller, trunk=trunk, headers=names)


ANY = rule("any")
EXACT = rule("exact", called="5500")
ONE_OF = rule("one-of", called=["1", "5500"])
PREFIX = rule("prefix", called_prefix="55")
LONGER = rule("longer", called_prefix="550")
REGEX = rule("regex", called_regex=r"55\d\d")
CALLER = rule("caller", caller="123")
WITHHELD = rule("withheld", caller="")
WITHHELD_ONCE = rule("withheld-once", caller="anonymous")
CALLER_PREFIX = rule("caller-prefix", caller_prefix="12")
CALLER_REGEX = rule("caller-regex", caller_regex=".*")
TRUNK = rule("trunk", trunk="carrier")
NO_TRUNK = rule("no-trunk", trunk="")
HEADER = rule("header", headers={"X-Tenant": "acme"})
TWO_HEADERS = rule("two-headers", headers={"X-Tenant": "acme", "X-Class": "gold"})
HEADER_REGEX = rule("header-regex", headers_regex={"x-tenant": "ac.."})
PREFIX_OF_CALLER = rule("prefix-of-caller", called_prefix="55", caller="123")
ACME = {"x_tenant": "acme", "x_class": "gold"}

WINNERS = [
    ([ANY, REGEX, PREFIX, LONGER, EXACT], call(), "exact"),
    ([ANY, REGEX, PREFIX, LONGER], call(), "longer"),
    ([ANY, REGEX, LONGER, PREFIX], call(), "longer"),
    ([ANY, REGEX, PREFIX], call(), "prefix"),
    ([ANY, REGEX], call(), "regex"),
    ([ANY, EXACT], call("5501"), "any"),
    ([ONE_OF, EXACT], call(), "one-of"),
    ([EXACT, ONE_OF], call(), "exact"),
    ([ONE_OF], call("1"), "one-of"),
    ([ONE_OF], call("2"), ""),
    ([REGEX], call("55001"), ""),
    ([REGEX], call("x5500"), ""),
    ([PREFIX], call("155"), ""),
    ([PREFIX], call(""), ""),
    ([ANY, CALLER_REGEX, CALLER_PREFIX, CALLER], call(), "caller"),
    ([ANY, CALLER_REGEX, CALLER_PREFIX, CALLER], call(caller="124"), "caller-prefix"),
    ([ANY, CALLER_REGEX, CALLER_PREFIX, CALLER], call(caller=""), "caller-regex"),
    ([CALLER, REGEX], call(), "regex"),
    ([CALLER, PREFIX, PREFIX_OF_CALLER], call(), "prefix-of-caller"),
    ([ANY, WITHHELD], call(caller=""), "withheld"),
    ([ANY, WITHHELD_ONCE], call(caller=""), "withheld-once"),  # for one version
    ([ANY, WITHHELD, WITHHELD_ONCE], call(), "any"),
    ([CALLER, PREFIX_OF_CALLER, LONGER], call(), "longer"),
    ([ANY, TRUNK], call(trunk="carrier"), "trunk"),
    ([ANY, TRUNK], call(trunk="other"), "any"),
    ([ANY, TRUNK], call(), "any"),
    ([ANY, NO_TRUNK], call(), "no-trunk"),
    ([ANY, NO_TRUNK], call(trunk="carrier"), "any"),
    ([ANY, HEADER_REGEX, HEADER, TWO_HEADERS], call(**ACME), "two-headers"),
    ([ANY, HEADER_REGEX, HEADER, TWO_HEADERS], call(x_tenant="acme"), "header"),
    ([ANY, HEADER_REGEX, HEADER], call(x_tenant="acid"), "header-regex"),
    ([ANY, HEADER_REGEX, HEADER], call(x_tenant="acids"), "any"),
    ([HEADER, TRUNK], call(trunk="carrier", **ACME), "trunk"),
]


@pytest.mark.parametrize(("rules", "facts", "winner"), WINNERS)
def test_the_most_specific_rule_wins(rules, facts, winner):
    assert route(plan_of(*rules), facts).extension == winner


def test_a_call_that_no_rule_takes_goes_to_the_default_agent():
    for plan in (plan_of(EXACT), Dialplan("a")):
        found = route(plan, call("9"))
        assert (found.context, found.extension) == ("default", "")
        assert found.steps == (Answer(), Talk(agent="a"))
    assert found.explanation == "there are no rules: default agent"
    assert route(plan_of(EXACT), call("9")).explanation == (
        'no rule of context "default" fits: default agent'
    )


def test_the_trunk_chooses_the_context():
    plan = plan_of(
        EXACT,
        office=Context(extensions=(ANY,)),
        trunk_contexts={"carrier": "office", "second": "default"},
    )
    assert route(plan, call(trunk="carrier")).context == "office"
    assert route(plan, call(trunk="second")).context == "default"
    assert route(plan, call(trunk="unheard-of")).context == "default"
    assert route(plan, call()).context == "default"


def test_included_contexts_are_searched_in_depth_only_when_nothing_fits():
    plan = plan_of(
        rule("own", called="1"),
        first=Context(include=("deep",), extensions=(rule("one", called="2"),)),
        deep=Context(include=("default",), extensions=(rule("two", called_prefix="5"),)),
        second=Context(extensions=(rule("three", called="5500"), ANY)),
    )
    plan.contexts["default"] = Context(
        include=("first", "second"), extensions=(rule("own", called="1"),)
    )
    assert route(plan, call("1")).extension == "own"
    assert route(plan, call("5500")).extension == "two", "the earlier context, not the closer rule"
    assert route(plan, call("77")).extension == "any"
    assert [verdict.extension for verdict in explain(plan, call("5500"))] == [
        "own", "one", "two", "three", "any",
    ]  # fmt: skip


def test_every_rule_is_told_why():
    plan = Dialplan(
        "a",
        contexts={
            "default": Context(include=("more",), extensions=(ANY, EXACT, ONE_OF, TRUNK, HEADER)),
            "more": Context(extensions=(ANY,)),
        },
        origins={("default", "exact"): "f.toml:3"},
    )
    facts = call(x_tenant="acid")
    assert explain(plan, facts) == [
        Verdict(
            "default", "any", "", "loses",
            'default/exact is more specific (called is "5500")',
        ),
        Verdict("default", "exact", "f.toml:3", "wins", 'called is "5500"'),
        Verdict(
            "default", "one-of", "", "loses", "default/exact is as specific and comes first"
        ),
        Verdict("default", "trunk", "", "does not fit", 'no trunk is not trunk "carrier"'),
        Verdict(
            "default", "header", "", "does not fit", 'header X-Tenant is "acid", not "acme"'
        ),
        Verdict(
            "more", "any", "", "loses", "default/exact is in a context that is searched earlier"
        ),
    ]  # fmt: skip


MISFITS = [
    (EXACT, call("1"), 'called "1" is not "5500"'),
    (ONE_OF, call("2"), 'called "2" is not "1" or "5500"'),
    (PREFIX, call("4"), 'called "4" does not start with "55"'),
    (REGEX, call("4"), 'called "4" does not match /55\\d\\d/'),
    (CALLER, call(caller="4"), 'caller "4" is not "123"'),
    (NO_TRUNK, call(trunk="t"), 'trunk "t" is not no trunk'),
    (HEADER, call(), 'header X-Tenant is missing, not "acme"'),
    (HEADER_REGEX, call(), "header x-tenant is missing, which does not match /ac../"),
    (HEADER_REGEX, call(x_tenant="b"), 'header x-tenant is "b", which does not match /ac../'),
    (ANY, call(), ""),
]


@pytest.mark.parametrize(("rule_", "facts", "why"), MISFITS)
def test_why_a_rule_does_not_fit(rule_, facts, why):
    assert misfit(rule_, facts) == why


def test_a_jump_ignores_conditions_and_stays_in_its_context():
    plan = plan_of(EXACT, office=Context(extensions=(rule("exact", called="9"), ANY)))
    assert follow(plan, "default", Jump(extension="exact")).steps == (HangUp(),)
    found = follow(plan, "default", Jump(extension="any", context="office"))
    assert (found.context, found.extension) == ("office", "any")
    assert follow(plan, "office", Jump(extension="exact")).context == "office"


# --- any plan, any call ------------------------------------------------------------------------

numbers = st.text("0159+", max_size=4)
number_conditions = st.one_of(
    st.none(),
    numbers.map(lambda text: ("", text)),
    st.text("0159+", min_size=1, max_size=3).map(lambda text: ("_prefix", text)),
    st.sampled_from([".*", "5.*", r"\d+", "1|5"]).map(lambda text: ("_regex", text)),
)


@st.composite
def rules(draw):
    found = []
    for index in range(draw(st.integers(0, 5))):
        conditions = {}
        for side in ("called", "caller"):
            if condition := draw(number_conditions):
                conditions[side + condition[0]] = condition[1]
        if draw(st.booleans()):
            conditions["trunk"] = draw(st.sampled_from(["", "t"]))
        conditions["headers"] = draw(
            st.dictionaries(st.sampled_from(["A", "B"]), st.sampled_from(["1", "2"]))
        )
        found.append(rule(f"r{index}", **conditions))
    return found


calls = st.builds(
    lambda called, caller, trunk, headers: CallFacts(
        "id", "in", called, caller, trunk=trunk, headers=headers
    ),
    numbers,
    numbers,
    st.sampled_from(["", "t", "u"]),
    st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["1", "2"])),
)


@given(rules(), calls)
def test_every_call_gets_one_route_that_explain_agrees_with(some, facts):
    plan = plan_of(*some)
    found = route(plan, facts)
    assert found.steps
    assert found == route(plan, facts)
    verdicts = explain(plan, facts)
    assert len(verdicts) == len(some)
    winners = [verdict.extension for verdict in verdicts if verdict.outcome == "wins"]
    assert winners == ([found.extension] if found.extension else [])


@given(rules(), calls, st.randoms(use_true_random=False))
def test_the_order_of_rules_decides_only_between_equals(some, facts, random):
    shuffled = random.sample(some, len(some))
    one, other = (route(plan_of(*order), facts).extension for order in (some, shuffled))
    weights = {each.name: specificity(each) for each in some}
    assert weights.get(one) == weights.get(other)


@given(rules(), calls)
def test_nothing_that_fits_is_more_specific_than_the_winner(some, facts):
    winner = route(plan_of(*some), facts).extension
    weights = {each.name: specificity(each) for each in some if not misfit(each, facts)}
    assert not weights or weights[winner] == max(weights.values())


JUMP_ONLY = rule("part", jump_only=True)


@pytest.mark.parametrize("called", ["part", "", "5500"])
def test_a_rule_for_jumps_is_reached_by_no_call(called):
    plan = plan_of(JUMP_ONLY)
    assert route(plan, call(called)).extension == ""
    assert explain(plan, call(called))[0].why == "it is reached by a jump only"
    assert follow(plan, "default", Jump(extension="part")).extension == "part"


@pytest.mark.parametrize("condition", [{"called": "1"}, {"trunk": ""}, {"headers": {"A": "b"}}])
def test_a_rule_for_jumps_has_no_conditions(condition):
    with pytest.raises(ValueError, match="cannot go together"):
        rule("part", jump_only=True, **condition)
