// Reads the stream of the topology and shows nothing: what somebody who looks costs the gateway, without a browser on its
// cores. Takes the link that logs in; says the same as look.mjs.

const [link] = process.argv.slice(2);
const { origin, hash } = new URL(link);
const headers = { Authorization: `Bearer ${hash.replace('#token=', '')}` };
process.on('SIGTERM', () => process.exit(0));

const stream = await fetch(`${origin}/api/v1/live?window=1m`, { headers });
if (!stream.ok) throw new Error(`${stream.status}: ${await stream.text()}`);
let bytes = 0;
for await (const part of stream.body) {
  if (!bytes) {
    console.log('open');
    setInterval(() => console.log(`bytes ${bytes}`), 1000);
  }
  bytes += part.length;
}
