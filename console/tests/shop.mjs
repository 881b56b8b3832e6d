// What the tests of the console stand on: the demo, a person's moves, and what is expected.

import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const axe = readFileSync(join(here, '../node_modules/axe-core/axe.min.js'), 'utf8');
export const PATIENCE = Number(process.env.PATIENCE ?? 60_000);

const browsers = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
export const executablePath = browsers.find((path) => path && existsSync(path));
export const PAGES = ['now', 'topology', 'traffic', 'requests', 'routes', 'routes?view=board', 'services', 'policies', 'guard', 'cache', 'try', 'config', 'health', 'api'];

export function fail(what) {
  throw new Error(what);
}
export function expect(holds, what) {
  if (!holds) fail(what);
  console.log(`ok  ${what}`);
}

/** Starts the demo; gives its addresses and how to end it. */
export async function demo(program) {
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
        const base = new URL(console_[1]).origin;
        const token = /token=([^&\s]+)/.exec(console_[1])?.[1] ?? '';
        resolve({ console: console_[1], gateway: gateway[1], base, token });
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

/** Opens a page and waits until what comes by the first answers is there. */
export async function visit(page, base, name) {
  await page.goto(`${base}/#/${name}`);
  await page.locator('h1').waitFor();
  await page.locator('main .card, main svg, main table, main .row').first().waitFor({ timeout: PATIENCE });
  if (name === 'config') await page.locator('.cm-line').first().waitFor({ timeout: PATIENCE });
}

/** No serious or critical finding on the page as it is now. */
export async function accessible(page, name) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const result = await window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] });
    return result.violations
      .filter((one) => one.impact === 'serious' || one.impact === 'critical')
      .map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary}`).join('; ')}`);
  });
  expect(found.length === 0, `axe finds nothing serious on ${name}${found.length ? `: ${found.join('\n')}` : ''}`);
}

export const pay = (gateway) =>
  fetch(`${gateway}/payments/`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"user":1,"amount_cents":4200}' }).then((answer) => answer.status);

/** Asks the admin API as somebody else would who has the token. */
export async function api(shop, method, path, body, headers = {}) {
  const answer = await fetch(`${shop.base}${path}`, { method, headers: { Authorization: `Bearer ${shop.token}`, ...headers }, body: body && JSON.stringify(body) });
  return answer.json();
}

/** Goes on by Tab until something has the focus. */
export async function tabTo(page, what, selector) {
  for (let steps = 0; steps < 600; steps++) {
    if (await page.evaluate((selector) => document.activeElement?.matches(selector) ?? false, selector)) return;
    await page.keyboard.press('Tab');
  }
  fail(`no Tab leads to ${what}`);
}
