// The board: a limit is dragged onto a route, reviewed, put in force, seen at work and taken back; by mouse, and by keys alone.

import { PATIENCE, accessible, api, expect, fail, pay, tabTo } from './shop.mjs';

const ROUTE = 'POST /payments/*';
const block = (page, policy, row = ROUTE) => page.locator(`[data-block="${row} ${policy}"]`);
const open = async (page, base) => {
  // What others changed meanwhile is read when the page is opened anew.
  await page.goto(`${base}/#/now`);
  await page.locator('h1', { hasText: 'Now' }).waitFor();
  await page.goto(`${base}/#/routes?view=board`);
  await page.locator('[data-palette="rate_limit"]').waitFor({ timeout: PATIENCE });
  await page.locator(`[data-row="${ROUTE}"]`).waitFor();
};

/** The lines of the difference that is shown. */
async function changedLines(page) {
  const diff = page.locator('.review pre.diff').first();
  await diff.waitFor({ timeout: PATIENCE });
  return ((await diff.textContent()) ?? '').split('\n').filter((line) => /^[+-]/.test(line)).map((line) => line.trim());
}

/** Until a payment is answered so. */
async function until(gateway, status, what) {
  for (let nth = 0; nth < 60; nth++) if ((await pay(gateway)) === status) return expect(true, what);
  fail(`${what}: no payment was answered ${status}`);
}

export async function byMouse(page, shop) {
  await open(page, shop.base);
  const from = await page.locator('[data-palette="rate_limit"]').boundingBox();
  await page.locator(`[data-row="${ROUTE}"]`).scrollIntoViewIfNeeded();
  const to = await page.locator(`[data-row="${ROUTE}"] .drop`).boundingBox();
  const start = await page.locator('[data-palette="rate_limit"]').boundingBox();
  await page.mouse.move((start ?? from).x + 20, (start ?? from).y + 8);
  await page.mouse.down();
  await page.mouse.move((start ?? from).x + 40, (start ?? from).y + 24, { steps: 5 });
  await page.mouse.move(to.x + to.width / 2, to.y + to.height / 2, { steps: 15 });
  // Only over its row does the library let it fall there.
  await page.locator(`[data-row="${ROUTE}"] .drop .holder`, { hasText: 'rate_limit' }).waitFor({ state: 'attached', timeout: PATIENCE });
  await page.mouse.up();
  await block(page, 'rate_limit').waitFor({ timeout: PATIENCE });
  expect(/lane-4/.test((await block(page, 'rate_limit').locator('..').getAttribute('class')) ?? ''), 'a block that is dropped on a route flies to its lane');
  await page.locator('.draft .good').waitFor();
  expect(true, 'a dropped block works as it is');
  const rate = page.locator('.settings input[name$="rate_limit / rate"]');
  await rate.fill('5/fortnight');
  await rate.press('Enter');
  await page.locator('.settings .field:has(input[name$="rate_limit / rate"]) .trouble').waitFor({ timeout: PATIENCE });
  expect(await page.locator('.draft button.main').isDisabled(), 'a fault is shown at its field, and cannot be applied');
  await rate.fill('5/min');
  await rate.press('Enter');
  await page.locator('.draft .good').waitFor({ timeout: PATIENCE });
  await accessible(page, 'the board with settings');
  await page.locator('.draft button.main').click();
  const lines = await changedLines(page);
  expect(lines.length > 0 && lines.every((line) => line.startsWith('+') && /rate/.test(line)) && lines.some((line) => line.includes('5/min')), `one node of the file changes: ${lines.join(' ')}`);
  await accessible(page, 'the review');
  await page.locator('.review input[name="message"]').fill('fewer payments');
  await page.locator('.review button.main').click();
  await page.locator('.pending').waitFor({ timeout: PATIENCE });
  await until(shop.gateway, 429, 'the limit is in force');
  await block(page, 'rate_limit').locator('.did').waitFor({ timeout: PATIENCE });
  expect(/\d+ refused/.test((await block(page, 'rate_limit').textContent()) ?? ''), 'the block tells what it refused');
  await page.locator(`[data-block="${ROUTE} rate_limit"] .did`, { hasText: /\d\/s · p50/ }).waitFor({ timeout: PATIENCE });
  expect(true, 'and how often and how fast of late');
  await accessible(page, 'a change that waits');
  await page.locator('.pending button', { hasText: 'Roll back now' }).click();
  await page.locator('.pending').waitFor({ state: 'detached', timeout: PATIENCE });
  await block(page, 'rate_limit').waitFor({ state: 'detached', timeout: PATIENCE });
  expect((await pay(shop.gateway)) !== 429, 'rolled back, payments pass again');
  await page.goto(`${shop.base}/#/config`);
  await page.locator('.history', { hasText: 'fewer payments' }).waitFor({ timeout: PATIENCE });
  expect(true, 'the history tells of it');
}

export async function byKeyboard(page, shop) {
  await open(page, shop.base);
  const said = page.locator('[aria-live="assertive"]');
  const heard = async (words) => page.waitForFunction((words) => document.querySelector('[aria-live="assertive"]')?.textContent?.includes(words), words, { timeout: PATIENCE });
  await tabTo(page, 'the block', '[data-palette="rate_limit"]');
  await page.keyboard.press(' ');
  await heard('rate_limit picked up');
  await page.keyboard.press('Escape');
  await heard('rate_limit put back');
  await page.keyboard.press(' ');
  await page.keyboard.press('Home');
  for (let steps = 0; steps < 40 && !(await said.textContent())?.includes(ROUTE); steps++) await page.keyboard.press('ArrowDown');
  await heard(ROUTE);
  await page.keyboard.press('Enter');
  await heard(`rate_limit dropped on ${ROUTE}`);
  await page.waitForFunction((name) => document.activeElement?.getAttribute('data-block') === name, `${ROUTE} rate_limit`, { timeout: PATIENCE });
  expect(true, 'a block is picked up, carried and dropped by keys, each step is told, and the focus goes along');
  await page.keyboard.press('Control+z');
  await block(page, 'rate_limit').waitFor({ state: 'detached', timeout: PATIENCE });
  await page.keyboard.press('Control+Shift+Z');
  await block(page, 'rate_limit').waitFor({ timeout: PATIENCE });
  expect(true, 'Ctrl+Z takes it away and Ctrl+Shift+Z brings it back');
  await tabTo(page, 'the rate', 'input[name$="rate_limit / rate"]');
  await page.keyboard.press('Control+a');
  await page.keyboard.type('5/min');
  await page.keyboard.press('Enter');
  await page.locator('.draft .good').waitFor({ timeout: PATIENCE });
  await page.waitForFunction((name) => document.querySelector(`[data-block="${name}"] .gist`)?.textContent?.includes('5/min'), `${ROUTE} rate_limit`, { timeout: PATIENCE });
  await tabTo(page, 'the review', '.draft button.main');
  await page.keyboard.press('Enter');
  await changedLines(page);
  await tabTo(page, 'the button that applies', '.review button.main');
  await page.keyboard.press('Enter');
  await page.locator('.pending').waitFor({ timeout: PATIENCE });
  await until(shop.gateway, 429, 'set by keys alone, the limit is in force');
  await tabTo(page, 'the way back', '.pending button:not(.main)');
  await page.keyboard.press('Enter');
  await page.locator('.pending').waitFor({ state: 'detached', timeout: PATIENCE });
  await block(page, 'rate_limit').waitFor({ state: 'detached', timeout: PATIENCE });
  expect(true, 'rolled back by keys alone');
}

/** Those that need what is not in the file; the gateway says what. */
const NEEDY = ['mtls', 'basic', 'hmac', 'grpc_web', 'openapi', 'transcode'];

export async function everyBlock(page, shop) {
  await open(page, shop.base);
  const row = '/recommendations/*';
  const policies = await page.locator('[data-palette]').evaluateAll((all) => all.map((one) => one.getAttribute('data-palette')));
  const verdict = page.locator('.draft [role="status"]');
  const wrong = [];
  for (const policy of policies) {
    await page.getByLabel(`Add a block to ${row}`, { exact: true }).selectOption(policy);
    // What stands there already opens its settings and changes nothing.
    if (policy !== 'timeout') {
      await verdict.waitFor({ timeout: PATIENCE });
      const valid = ((await verdict.textContent()) ?? '').includes('no faults');
      const told = valid ? '' : await page.locator('.faults').textContent();
      if (valid === NEEDY.includes(policy) || (!valid && !told?.includes(policy))) wrong.push(`${policy}: ${valid ? 'valid' : told}`);
    }
    await page.locator('.settings h2', { hasText: policy }).waitFor({ timeout: PATIENCE });
    const discard = page.locator('.draft button', { hasText: 'Discard' });
    if (policy !== 'timeout') await discard.click();
    await verdict.waitFor({ state: 'detached' });
  }
  expect(wrong.length === 0, `each of ${policies.length} blocks works as it is dropped, or says what it needs${wrong.map((one) => `\n  ${one}`).join('')}`);
  for (const template of ['Protect with login', 'Public, cached', 'Partner API', 'Strict payments']) {
    await page.getByLabel(`Use a template on ${row}`, { exact: true }).selectOption(template);
    await page.locator('.draft .good').waitFor({ timeout: PATIENCE });
    if (template === 'Partner API') {
      await page.locator('.warnkey code').waitFor();
      await page.locator('.warnkey button').click();
    }
    await page.locator('.draft button', { hasText: 'Discard' }).click();
    await verdict.waitFor({ state: 'detached' });
  }
  expect(true, 'each template works as it is');
}

/** Somebody else changes the file between the look and the application. */
export async function twoAtOnce(page, shop) {
  await open(page, shop.base);
  await page.getByLabel('Add a block to GET /products/*', { exact: true }).selectOption('compress');
  await page.locator('.draft .good').waitFor({ timeout: PATIENCE });
  const { etag } = await api(shop, 'GET', '/api/v1/config');
  const theirs = await api(shop, 'PUT', '/api/v1/config', { edits: [{ op: 'set', path: ['defaults', 'timeout'], value: '6s' }], message: 'longer' }, { 'If-Match': `"${etag}"` });
  expect(theirs.applied === true, 'somebody else changes the file');
  await page.locator('.draft button.main').click();
  await changedLines(page);
  await page.locator('.review button.main', { hasText: /^Apply$/ }).click();
  await page.locator('.threeway').waitFor({ timeout: PATIENCE });
  const told = (await page.locator('.threeway').textContent()) ?? '';
  expect(told.includes('timeout: 6s') && told.includes('compress'), 'a conflict shows what they changed and what I change');
  await accessible(page, 'the conflict');
  await page.locator('.threeway button.main').click();
  await page.locator('.threeway').waitFor({ state: 'detached', timeout: PATIENCE });
  await page.locator('.draft .good').waitFor({ timeout: PATIENCE });
  await page.locator('.draft button.main').click();
  const lines = await changedLines(page);
  expect(lines.every((line) => line.includes('compress') || line.includes('/products/*')) && !lines.some((line) => line.includes('timeout')), 'put together, only mine is left to apply');
  await page.locator('.review button.main', { hasText: /^Apply$/ }).click();
  await page.locator('.pending button.main').click();
  await page.locator('.pending').waitFor({ state: 'detached', timeout: PATIENCE });
  const { text } = await api(shop, 'GET', '/api/v1/config');
  expect(text.includes('compress') && text.includes('timeout: 6s'), 'both changes stand in the file');
  const back = await api(shop, 'POST', '/api/v1/config/rollback', { to: 1 });
  expect(back.applied === true, 'the first text comes back');
}

/** A change serves half of the requests before it serves all. */
export async function onTrial(page, shop) {
  await open(page, shop.base);
  await page.getByLabel('Add a block to /health', { exact: true }).selectOption('compress');
  await page.locator('.draft .good').waitFor({ timeout: PATIENCE });
  await page.locator('.draft button.main').click();
  await changedLines(page);
  await page.getByLabel('First for a share of the requests').selectOption('50%');
  await page.locator('.review button.main', { hasText: 'Try it out' }).click();
  await page.locator('.trial').waitFor({ timeout: PATIENCE });
  await page.waitForFunction(() => Number(document.querySelector('.trial tbody tr:last-child td')?.textContent ?? 0) > 0, null, { timeout: PATIENCE });
  expect(true, 'a change on trial tells how it does beside what runs');
  await accessible(page, 'a change on trial');
  const before = await api(shop, 'GET', '/api/v1/config');
  expect(!before.text.includes('compress'), 'the file is left alone meanwhile');
  await page.locator('.trial button', { hasText: 'Let it go' }).click();
  await page.locator('.pending', { hasText: 'was let go' }).waitFor({ timeout: PATIENCE });
  await page.locator('.pending button').click();
}
