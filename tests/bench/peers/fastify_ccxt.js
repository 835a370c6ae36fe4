// The same in JavaScript: fastify and ccxt. PORT, UPSTREAM and LIMITER say how; NODE_MODULES where the packages are.
const { createRequire } = require('node:module');
const needs = createRequire(process.env.NODE_MODULES + '/');
const ccxt = needs('ccxt');
const app = needs('fastify')();

const binance = new ccxt.binance({ enableRateLimit: process.env.LIMITER === 'on' });
binance.options.fetchMarkets = { types: ['spot'] };
for (const [name, url] of Object.entries(binance.urls.api)) {
  if (typeof url === 'string') binance.urls.api[name] = url.replace('https://', process.env.UPSTREAM + 'https://');
}
const exchanges = { binance };

const sides = { type: 'array', items: { type: 'array', items: { type: 'number' } } };
const book = {
  type: 'object',
  properties: {
    symbol: { type: 'string' }, timestamp: { type: 'integer', nullable: true }, nonce: { type: 'integer', nullable: true },
    bids: sides, asks: sides,
  },
};

app.get('/v1/:exchange/depth', { schema: { response: { 200: book } } }, (request) =>
  exchanges[request.params.exchange].fetchOrderBook(request.query.symbol, Number(request.query.limit || 500)));

app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
