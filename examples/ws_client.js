// Read a stream of trades and resume it after a cut. Browser API only: runs in a page that ExGate itself serves (open
// http://127.0.0.1:8000/healthz and paste it into the console), in Node 22+ (node ws_client.js [URL] [TRADES]) and in
// Node 20 with --experimental-websocket. A page of another origin is refused.

const [url = "ws://127.0.0.1:8000/v1/paper/pull_trade?symbol=BTC/USDT", count = "Infinity"] =
  globalThis.process?.argv?.slice(2) ?? [];

let sinceId = "";
let left = Number(count);

function read() {
  const socket = new WebSocket(url + (sinceId && `&since_id=${encodeURIComponent(sinceId)}`));

  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    if (frame.status) console.error(frame.status, frame.desc); // gap and lagging say what is missing
    for (const trade of frame.trades ?? []) {
      if (left <= 0) break;
      console.log(trade.trade_id, trade.price, trade.qty); // trade_id is a string: trade.id may be rounded
      sinceId = trade.trade_id;
      left -= 1;
    }
    if (left <= 0) socket.close();
  };

  let ended = false;
  socket.onclose = socket.onerror = ({ code }) => {
    if (ended || left <= 0) return;
    ended = true; // one of the two is enough: Node 20 tells of a refused connection by an error alone
    console.error("closed with", code);
    setTimeout(read, 1000); // then go on after sinceId: nothing is lost, nothing comes twice
  };
}

read();
