// Somebody who looks at the topology: says `open` when the graph moves, then each second how many bytes its stream has
// brought. Takes the link that logs in as an argument; ends when it is told to.

import { chromium } from 'playwright-core';

import { executablePath } from './shop.mjs';

const [link] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
process.on('SIGTERM', () => browser.close().then(() => process.exit(0)));

const page = await browser.newPage({ viewport: { width: 1400, height: 950 } });
await page.goto(link);
await page.locator('nav').waitFor({ timeout: 60_000 });
const session = await page.context().newCDPSession(page);
await session.send('Network.enable');
const streams = new Set();
let bytes = 0;
session.on('Network.requestWillBeSent', ({ requestId, request }) => request.url.includes('/api/v1/live') && streams.add(requestId));
session.on('Network.dataReceived', ({ requestId, dataLength }) => {
  if (streams.has(requestId)) bytes += dataLength;
});
await page.goto(`${new URL(link).origin}/#/topology`);
const about = page.locator('g[data-kind="route"] .about').first();
await about.waitFor({ timeout: 60_000 });
console.log('open');
setInterval(() => console.log(`bytes ${bytes}`), 1000);
