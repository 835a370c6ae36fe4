"""The kit that judges an ExGate exchange plugin: the same numbered cases for every adapter, over a fake exchange.

An author writes a fake (``fakes.Fake``) that speaks his exchange's dialect; behind it stands the paper engine, whose
ledger is the truth that every answer is compared with.
"""
