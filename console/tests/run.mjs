// The console in a real browser against the demo: what a person would do, with axe on every page.
// Takes the program in TIDEGATE and maybe a browser in CHROMIUM; ends with 0 when all of it went well.

import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { chromium } from 'playwright-core';

const here = dirname(fileURLToPath(import.meta.url));
const axe = readFileSync(join(here, '../node_modules/axe-core/axe.min.js'), 'utf8');
const program = process.env.TIDEGATE;
const browsers = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const executablePath = browsers.find((path) => path && existsSync(path));
const PATIENCE = 60_000;
const PAGES = ['now', 'topology', 'traffic', 'requests', 'routes', 'services', 'try', 'config'];

function fail(what) {
  throw new Error(what);
}
function expect(holds, what) {
  if (!holds) fail(what);
  console.log(`ok  ${what}`);
}

/** Kilobytes on the wire, at most 150 for all that the first page loads. */
function sizes() {
  const folder = join(here, '../dist/assets');
  const bytes = readdirSync(folder).reduce((sum, name) => sum + gzipSync(readFileSync(join(folder, name))).length, 0);
  expect(bytes <= 150 * 1024, `the console is ${Math.round(bytes / 1024)} kB gzip, at most 150`);
}

/** Starts the demo; gives its addresses and how to end it. */
async function demo() {
  if (!program) fail('say which program in TIDEGATE');
  const child = spawn(program, ['demo', '--port', '0', '--admin-port', '0'], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, TIDEGATE_ADMIN_TOKEN: '' } });
  let text = '';
  const told = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the demo does not greet:\n${text}`)), PATIENCE);
    child.stdout.on('data', (data) => {
      text += data;
      const console_ = /console\s+(http:\S+)/.exec(text);
      const gateway = /gateway\s+(http:\S+)/.exec(text);
      if (console_ && gateway && text.includes('Ctrl-C ends everything')) {
        clearTimeout(timer);
        resolve({ console: console_[1], gateway: gateway[1] });
      }
    });
    child.on('exit', (code) => reject(new Error(`the demo ended with ${code}:\n${text}`)));
  });
  const end = () => {
    child.removeAllListeners('exit');
    const over = new Promise((resolve) => child.on('exit', resolve));
    // The second one ends at once.
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGTERM'), 300);
    return over;
  };
  return { ...told, end };
}

/** No serious or critical finding on the page as it is now. */
async function accessible(page, name) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const result = await window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] });
    return result.violations
      .filter((one) => one.impact === 'serious' || one.impact === 'critical')
      .map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary}`).join('; ')}`);
  });
  expect(found.length === 0, `axe finds nothing serious on ${name}${found.length ? `: ${found.join('\n')}` : ''}`);
}

async function tour(page, base, look) {
  for (const name of PAGES) {
    await page.goto(`${base}/#/${name}`);
    await page.locator('h1').waitFor();
    // What comes by the first answers is there before the page is judged.
    await page.locator('main .card, main svg, main table').first().waitFor();
    await accessible(page, `${name}, ${look}`);
    if (process.env.SHOTS) await page.screenshot({ path: join(process.env.SHOTS, `${name}-${look}.png`), fullPage: true });
  }
}

/** Enough requests that some of them are kept: of those that neither fail nor are slow, one in 128 is. */
async function visit(gateway) {
  // A payment fails at times, and what fails is kept.
  for (let nth = 0; nth < 200; nth++) if ((await pay(gateway)) >= 500) break;
  for (let round = 0; round < 20; round++) {
    await Promise.all([...Array(40).keys()].map((nth) => fetch(`${gateway}/recommendations/${nth + 1}`).then((answer) => answer.text())));
  }
}

const pay = (gateway) =>
  fetch(`${gateway}/payments/`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"user":1,"amount_cents":4200}' }).then((answer) => answer.status);

/** From the graph to the trace of one slow request, in three clicks. */
async function findTheSlow(page, base) {
  await page.goto(`${base}/#/topology`);
  const service = page.locator('g[data-kind="service"][data-name="recommendations"]');
  await service.waitFor();
  const before = await service.locator('.about').textContent();
  await page.waitForFunction((before) => document.querySelector('g[data-kind="service"][data-name="recommendations"] .about')?.textContent !== before, before, { timeout: PATIENCE });
  expect(true, 'the topology moves');
  await service.focus();
  await page.keyboard.press('Enter');
  await page.locator('aside').waitFor();
  await page.locator('aside a', { hasText: 'Show requests' }).click();
  const row = page.locator('table.samples button.link').first();
  await row.waitFor({ timeout: PATIENCE });
  await row.click();
  await page.locator('ol.trace li').first().waitFor();
  const trace = await page.locator('ol.trace').textContent();
  expect(/recommendations/.test(trace ?? ''), 'a sample shows its decision trace');
}

/** A limit is changed in a field, reviewed, applied, seen to work, and taken back. */
async function changeALimit(page, base, gateway) {
  expect((await pay(gateway)) !== 413, 'a payment passes before');
  await page.goto(`${base}/#/routes`);
  await page.locator('button.link', { hasText: 'POST /payments/*' }).click();
  await page.locator('input[name="body_limit"]').fill('8B');
  await page.locator('aside button.main', { hasText: 'Review the change' }).click();
  const diff = page.locator('pre.diff');
  await diff.waitFor();
  const changed = ((await diff.textContent()) ?? '').split('\n').filter((line) => /^[+-]/.test(line)).map((line) => line.trim());
  await page.locator('.preview li', { hasText: '413' }).first().waitFor();
  expect(true, 'the review tells which sampled requests would go another way');
  expect(changed.length === 2 && changed[0].includes('body_limit: 16KiB') && changed[1].includes('body_limit: 8B'), `one line of the file changes: ${changed.join(' ')}`);
  await accessible(page, 'the review');
  await page.locator('input[name="message"]').fill('too large');
  await page.locator('button.main', { hasText: /^Apply$/ }).click();
  await page.locator('.pending').waitFor();
  expect((await pay(gateway)) === 413, 'the new limit is in force');
  await accessible(page, 'a change that waits');
  await page.locator('.pending button', { hasText: 'Roll back now' }).click();
  await page.locator('.pending').waitFor({ state: 'detached' });
  expect((await pay(gateway)) !== 413, 'rolled back, a payment passes again');
  await page.goto(`${base}/#/config`);
  await page.locator('.history', { hasText: 'too large' }).waitFor();
  expect(true, 'the history tells of it');
}

/** A fault shows where it is while it is typed, and cannot be applied. */
async function typeAFault(page, base) {
  await page.goto(`${base}/#/config`);
  const area = page.locator('textarea');
  await area.waitFor();
  const text = await area.inputValue();
  await area.fill(text.replace('body_limit', 'body_limt'));
  await page.locator('.checked', { hasText: 'did you mean `body_limit`?' }).waitFor();
  expect(await page.locator('button.main', { hasText: 'Review the change' }).isDisabled(), 'a fault is told with its remedy and cannot be applied');
  await area.fill(text);
}

async function main() {
  if (!executablePath) fail('there is no Chromium: install the package `chromium`, or name one in CHROMIUM');
  sizes();
  const shop = await demo();
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  try {
    const context = await browser.newContext({ locale: 'en-US', viewport: { width: 1400, height: 950 }, reducedMotion: 'reduce' });
    const page = await context.newPage();
    const base = new URL(shop.console).origin;
    const troubles = [];
    page.on('console', (message) => {
      if (message.type() === 'error' && /Content Security Policy|Refused to/.test(message.text())) troubles.push(message.text());
    });
    page.on('pageerror', (error) => troubles.push(String(error)));
    page.on('request', (request) => {
      if (!request.url().startsWith(base) && !request.url().startsWith('data:')) troubles.push(`asks elsewhere: ${request.url()}`);
    });
    await page.goto(base);
    await page.locator('input[name="token"]').waitFor();
    await accessible(page, 'the login');
    await page.goto(`${base}/?`);
    await page.goto(shop.console);
    await page.locator('nav').waitFor();
    expect(!page.url().includes('token'), 'the link logs in, and the token leaves the address');
    await visit(shop.gateway);
    await findTheSlow(page, base);
    await changeALimit(page, base, shop.gateway);
    await typeAFault(page, base);
    await tour(page, base, 'light');
    await page.locator('select[aria-label="Theme"]').selectOption('dark');
    await tour(page, base, 'dark');
    await page.locator('select[aria-label="Language"]').selectOption('zh');
    await page.locator('nav a', { hasText: '拓扑' }).waitFor();
    expect((await page.locator('html').getAttribute('lang')) === 'zh-CN', 'it speaks Chinese');
    expect(troubles.length === 0, `nothing breaks the policy of content and nothing is asked of others${troubles.map((one) => `\n  ${one}`).join('')}`);
    await page.locator('header button.quiet').click();
    await page.locator('input[name="token"]').waitFor();
    expect(true, 'logging out ends the session');
  } finally {
    await browser.close();
    await shop.end();
  }
  console.log('the console works');
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(`FAILED ${error?.stack ?? error}`);
    process.exit(1);
  },
);
