# The contract's own Python samples, one per operation: host and exchange filled in, and the parameters that an
# operation can't do without. The gateway: exgate serve
# ruff: noqa
# fmt: off
import os

import requests

HOST = os.environ.get('EXGATE_URL', 'http://127.0.0.1:8000')

headers = {
  'Accept': 'application/json'
}

r = requests.get(HOST + '/v1/paper/balances', headers = headers)

print(r.json())

r = requests.get(HOST + '/v1/paper/depth?symbol=BTC/USDT&limit=5', headers = headers)

print(r.json())

r = requests.get(HOST + '/v1/paper/recent_trades?symbol=BTC/USDT&limit=5', headers = headers)

print(r.json())

r = requests.get(HOST + '/v1/paper/pull_trade?symbol=BTC/USDT', headers = headers)

print(r.json())

headers = {
  'Content-Type': 'application/json',
  'Accept': 'application/json'
}

order = {'symbol': 'BTC/USDT', 'side': 'buy', 'type': 'limit', 'price': '100', 'amount': '0.1'}

r = requests.post(HOST + '/v1/paper/order', headers = headers, json = order)

print(r.json())

cancel = {'symbol': 'BTC/USDT', 'order_id': r.json()['order_id']}

r = requests.get(HOST + '/v1/paper/pending_orders', headers = headers)

print(r.json())

r = requests.post(HOST + '/v1/paper/cancel', headers = headers, json = cancel)

print(r.json())
