"""The menu that the tests of keys share: billing asks what it is about, and for an account."""

from __future__ import annotations

BILLING = """
    [intents.billing]
    key = "1"
    label = "billing"
    phrases = ["billing"]
    flow = "billing"

    [slots.kind]
    type = "choice"
    ask = "Invoice or refund?"
    reprompts = ["One for an invoice, two for a refund."]
    choices = { invoice = [], refund = [] }
    keys = { 1 = "invoice", 2 = "refund" }

    [slots.account]
    type = "digits"
    ask = "Your account?"
    reprompts = ["Six digits, please."]
    min_digits = 6
    max_digits = 6

    [[flows.billing.steps]]
    ask = "kind"
"""
"""Each test adds the steps that come behind."""
FOR_AN_ACCOUNT = """
    [[flows.billing.steps]]
    ask = "account"
    [[flows.billing.steps]]
    say = "A {kind} for {account}."
"""
