"""The words in which exchanges write orders: what each parameter says, and what each word of it means.

A parameter that stands in none of these tables makes a request unreadable, and what can't be read isn't sent. Keys are
lower case without ``_`` and ``-``.
"""

from __future__ import annotations

from typing import Final

SYMBOL: Final = frozenset(
    """symbol market pair instid productid productcode instrumentname instrumentcode currencypair coinpair book
    assetpairname marketid marketsymbol pairsymbol pairid ordercurrency paymentcurrency basecurrency
    quotecurrency primarycurrencycode secondarycurrencycode coin cointype currency targetcurrency instrumentid
    uppercaseid asset base quote tradingpair currency1 currency2""".split()
)
WORDS: Final = frozenset(
    """side type ordertype ordermethod ordtype action direction childordertype tapimethod condition timeinforce
    force tif oflags flags isbid postonly ordermethodtype orderconfiguration. execinst executioninstructions
    makeronly timeinforcevalue postonlyflag method which ordertypeid limittype ordersubtype validity op
    orderside immediateorcancel ioc options""".split()
)
PRICE: Final = frozenset("price px rate limitprice pricestr unitprice orderprice".split())
AMOUNT: Final = frozenset(
    """amount quantity qty size sz volume basesize orderqty major units baseamount basevolume ordersize
    amountccy1""".split()
)
COST: Final = frozenset(
    """quotesize quoteorderqty quoteamount quotequantity cost total notional funds value marketbuyamount
    countervolume minor quotevolume volumequote ordervalue amountquote totalamount quoteordersize quoteqty amountccy2
    quoteorderamount""".split()
)
STOP: Final = frozenset("stopprice triggerprice stoppx stop triggerpx".split())
FREE: Final = frozenset(
    """nonce tapinonce timestamp signature sig recvwindow accesskeyid signaturemethod signatureversion
    signaturenonce apikey publickey key apiid sign reqtime tonce time ts requestid apiexpires accesstoken
    clientts deviceid noncewindow user signer cancelrequestid neworderresptype ordresptype uid userid""".split()
)
"""Who asks and when: says nothing about the order."""
ORDER_ID: Final = frozenset(
    """orderid id ordid txid uuid ids orderids origclientorderid clientorderid clientid clordid cliordid clientoid
    orderlinkid identifier cid uid text ordernumber orderno clorderid orderguid orderhash childorderacceptanceid
    childorderid origclordid clientoids entrustid number client referenceid origclientid clientorderids oid
    userref newclientorderid clientuserid ordersid clordids customid tag externaloid externalid""".split()
)

CONSTANTS: Final = frozenset(
    {
        ("account", "spot"),
        ("accounttype", "spot"),
        ("biztype", "spot"),
        ("category", "spot"),
        ("markettype", "spot"),
        ("market", "spot"),
        ("spotmargin", "spot"),
        ("tradetype", "trade"),
        ("tradetype", "spot"),
        ("wallettype", "spot"),
        ("type", "spot"),
        ("tdmode", "cash"),
        ("tgtccy", "base_ccy"),
        ("marketunit", "basecoin"),
        ("orderfilter", "order"),
        ("status", "0"),
        ("selftradeprevention", "none"),
        ("brokerid", "ccxt"),
        ("media", "ccxt"),
        ("tag", "ccxt"),
        ("text", "ccxt"),
        ("source", "ccxt"),
        ("source", "spot-api"),
        ("brokerid", "bc830de7-50f3-460b-9ee0-f430f83f9dad"),
        ("foo", "bar"),
        ("method", "trade"),
        ("marginmode", "cash"),
        ("leverage", "1"),
        ("rejectpostonly", "true"),
        ("qtytype", "bybase"),
        ("newctptype", "0"),
    }
)
"""(key, value) pairs that say "a plain spot order of this account" in some exchange's words."""
QUOTE_UNIT: Final = frozenset({("tgtccy", "quote_ccy"), ("marketunit", "quotecoin")})
"""Pairs by which the amount of a market order is one of the quote asset."""

BUY: Final = frozenset({"buy", "bid", "b"})
SELL: Final = frozenset({"sell", "ask", "offer", "s"})
MARKET: Final = frozenset({"market"})
LIMIT: Final = frozenset({"limit"})
POST_ONLY: Final = frozenset({"maker", "post", "postonly", "gtx", "po", "poc", "makeronly", "makerorcancel"})
TIMES: Final = {
    "GTC": frozenset({"gtc", "goodtillcancelled", "goodtillcancel", "goodtilcanceled", "goodtillcanceled", "normal"}),
    "IOC": frozenset({"ioc", "immediateorcancel", "immediate"}),
    "FOK": frozenset({"fok", "fillorkill"}),
}
FILLERS: Final = frozenset(
    """order orders exchange place spot trade create submit send new add private v1 v2 v3 v4 v5 api sor normal or
    cancel only fcib false advanced""".split()
)
"""Words of types and paths that say nothing."""
