from msgspec.json import Decoder

from exgate_core import Depth, Market, hookimpl

EXGATE_API = 1


class Lemon:
    def __init__(self, context):
        self.http = context.http("https://api.lemon.example")

    @hookimpl
    async def markets(self):
        rows = await self.http.get_json("/markets", Decoder(list[dict[str, str]]))
        return [Market(id=r["id"], base=r["base"], quote=r["quote"], symbol=f"{r['base']}/{r['quote']}") for r in rows]

    @hookimpl
    async def depth(self, market, limit):
        book = await self.http.get_json("/book", Decoder(), params={"market": market.id, "size": str(limit)})
        return Depth(bids=book["bids"], asks=book["asks"], last_update_id=book["sequence"])


@hookimpl
def register_exchanges(register):
    register("lemon", exchange=Lemon)
