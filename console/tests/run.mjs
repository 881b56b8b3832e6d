// The console in a real browser against the demo: what a person would do, with axe on every page.
// Takes the program in TIDEGATE and maybe a browser in CHROMIUM; ends with 0 when all of it went well.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { chromium } from 'playwright-core';

import { byKeyboard, byMouse, everyBlock, onTrial, twoAtOnce } from './board.mjs';
import { callsByKeyboard, callsByMouse, shapes } from './calls.mjs';
import { insightsInChinese } from './insights.mjs';
import { PAGES, PATIENCE, accessible, api, demo, executablePath, expect, fail, pay, visit } from './shop.mjs';
import { merges } from './merge.mjs';
import { missing } from './words.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const program = process.env.TIDEGATE;

/** Kilobytes on the wire: at most 150 for what the first page loads, and 400 for everything. */
function sizes() {
  const dist = join(here, '../dist');
  const weigh = (names) => Math.round(names.reduce((sum, name) => sum + gzipSync(readFileSync(join(dist, 'assets', name))).length, 0) / 1024);
  const index = readFileSync(join(dist, 'index.html'), 'utf8');
  const all = readdirSync(join(dist, 'assets'));
  const [first, whole] = [weigh(all.filter((name) => index.includes(name))), weigh(all)];
  expect(first <= 150 && whole <= 400, `the first page loads ${first} kB gzip, at most 150; the whole console is ${whole}, at most 400`);
}

function dictionary() {
  const { sentences, lacking } = missing();
  expect(sentences > 200 && lacking.length === 0, `${sentences} sentences speak Chinese${lacking.map((one) => `\n  not: ${one}`).join('')}`);
}

async function tour(page, base, look) {
  for (const name of PAGES) {
    await visit(page, base, name);
    await accessible(page, `${name}, ${look}`);
  }
}

/** Enough requests that some of them are kept: of those that neither fail nor are slow, one in 128 is. */
async function shopping(gateway) {
  // A payment fails at times, and what fails is kept.
  for (let nth = 0; nth < 200; nth++) if ((await pay(gateway)) >= 500) break;
  for (let round = 0; round < 20; round++) {
    await Promise.all([...Array(40).keys()].map((nth) => fetch(`${gateway}/recommendations/${nth + 1}`).then((answer) => answer.text())));
  }
}

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

/** Another text stands in the editor. */
async function write(page, text) {
  await page.locator('.cm-content').click();
  await page.keyboard.press('Control+a');
  await page.evaluate((text) => navigator.clipboard.writeText(text), text);
  await page.keyboard.press('Control+v');
}

/** A fault shows where it is while it is typed, and cannot be applied; a review tells what becomes of requests of before. */
async function typeText(page, shop) {
  await page.goto(`${shop.base}/#/config`);
  await page.locator('.cm-line').first().waitFor({ timeout: PATIENCE });
  const { text } = await api(shop, 'GET', '/api/v1/config');
  await write(page, text.replace('body_limit', 'body_limt'));
  await page.locator('.checked', { hasText: 'did you mean body_limit?' }).waitFor({ timeout: PATIENCE });
  expect(await page.locator('.draft button.main').isDisabled(), 'a fault is told with its remedy and cannot be applied');
  await page.locator('.checked button.link').first().click();
  await page.locator('.cm-lint-marker-error').waitFor({ timeout: PATIENCE });
  expect(true, 'the line of a fault is marked');
  await write(page, text.replace('body_limit: 16KiB', 'body_limit: 8B'));
  await page.locator('.draft .good').waitFor({ timeout: PATIENCE });
  await page.locator('.draft button.main').click();
  await page.locator('.preview li', { hasText: '413' }).first().waitFor({ timeout: PATIENCE });
  expect(true, 'the review tells which sampled requests would go another way');
  await page.locator('.draft button', { hasText: 'Undo' }).click();
  await page.locator('.draft', { hasText: 'As it runs' }).waitFor({ timeout: PATIENCE });
  await page.waitForFunction(() => document.querySelector('.code')?.shadowRoot?.querySelector('.cm-content')?.textContent?.includes('# The shop'), null, { timeout: PATIENCE });
  expect(true, 'undo brings the text back into the editor');
}

async function main() {
  if (!executablePath) fail('there is no Chromium: install the package `chromium`, or name one in CHROMIUM');
  sizes();
  dictionary();
  await merges();
  await shapes();
  const shop = await demo(program);
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  try {
    const context = await browser.newContext({ locale: 'en-US', viewport: { width: 1400, height: 950 }, reducedMotion: 'reduce' });
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    const page = await context.newPage();
    const base = shop.base;
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
    await shopping(shop.gateway);
    await findTheSlow(page, base);
    await byMouse(page, shop);
    await byKeyboard(page, shop);
    await everyBlock(page, shop);
    await callsByMouse(page, shop);
    await callsByKeyboard(page, shop);
    await typeText(page, shop);
    await twoAtOnce(page, shop);
    await onTrial(page, shop);
    await tour(page, base, 'light');
    await page.locator('select[aria-label="Theme"]').selectOption('dark');
    await tour(page, base, 'dark');
    await page.locator('select[aria-label="Language"]').selectOption('zh');
    await page.locator('nav a', { hasText: '拓扑' }).waitFor();
    expect((await page.locator('html').getAttribute('lang')) === 'zh-CN', 'it speaks Chinese');
    await insightsInChinese(page, base);
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
