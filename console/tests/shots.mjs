// A picture of every page, in both themes and both languages, on the demo: to be looked at by people.
// Takes the program in TIDEGATE; leaves the pictures in ../target/shots, and says which pages are wider than the window.

import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

import { PAGES, PATIENCE, demo, executablePath, visit } from './shop.mjs';

const folder = join(dirname(fileURLToPath(import.meta.url)), '../../target/shots');
const BOARD = encodeURIComponent('GET /dashboard');
const MORE = [`routes?view=board&row=${BOARD}&block=aggregate`, `routes?view=board&row=${encodeURIComponent('POST /payments/*')}&block=ip`, 'policies?policy=rate_limit', 'topology?node=service%20recommendations', 'traffic?kind=route&name=%2Frecommendations%2F*'];
const wanted = process.argv[2] ?? '';

mkdirSync(folder, { recursive: true });
const shop = await demo(process.env.TIDEGATE);
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
const wide = [];
try {
  const page = await browser.newPage({ viewport: { width: 1400, height: 950 }, reducedMotion: 'reduce' });
  await page.goto(shop.base);
  await page.locator('input[name="token"]').waitFor();
  await page.screenshot({ path: join(folder, 'login.png') });
  await page.goto(`${shop.base}/?`);
  await page.goto(shop.console);
  await page.locator('nav').waitFor({ timeout: PATIENCE });
  await page.waitForFunction(() => /[1-9]/.test(document.querySelector('main')?.textContent ?? ''), null, { timeout: PATIENCE });
  for (const [theme, language] of [['light', 'en'], ['dark', 'zh'], ['dark', 'en'], ['light', 'zh']]) {
    await page.evaluate(([theme, language]) => (localStorage.setItem('theme', theme), localStorage.setItem('language', language)), [theme, language]);
    await page.reload();
    for (const name of [...PAGES, ...MORE].filter((name) => name.includes(wanted))) {
      await visit(page, shop.base, name);
      // Charts are drawn a moment after their numbers came.
      await page.waitForTimeout(1500);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (over > 0) wide.push(`${name} ${theme} ${language}: ${over} px`);
      await page.screenshot({ path: join(folder, `${decodeURIComponent(name).replace(/\W+/g, '-')}-${theme}-${language}.png`), fullPage: true });
    }
  }
} finally {
  await browser.close();
  await shop.end();
}
console.log(`pictures in ${folder}${wide.map((one) => `\nwider than the window: ${one}`).join('')}`);
