// An aggregate as rows: calls are added, moved, changed and taken away, by mouse and by keys alone, each as a change of the
// smallest node of the file.

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { createServer } from 'vite';

import { PATIENCE, accessible, api, expect, fail, tabTo } from './shop.mjs';

const ROUTE = 'GET /dashboard';
const row = (page, name) => page.locator(`[data-call="${name}"]`);
const names = (page) => page.locator('[data-call]').evaluateAll((all) => all.map((one) => one.getAttribute('data-call')));
const good = (page) => page.locator('.draft .good').waitFor({ timeout: PATIENCE });

/** Until the last step of the draft is this one. */
const step = (page, words) => page.locator('.draft button', { hasText: words }).waitFor({ timeout: PATIENCE });

/** Until the rows are these, in this order. */
async function rows(page, wanted, what) {
  await page.waitForFunction((wanted) => [...document.querySelectorAll('[data-call]')].map((one) => one.getAttribute('data-call')).join() === wanted, wanted.join(), { timeout: PATIENCE }).catch(async () => fail(`${what}: ${await names(page)}`));
  expect(true, what);
}

async function open(page, base) {
  await page.goto(`${base}/#/now`);
  await page.locator('h1', { hasText: 'Now' }).waitFor();
  await page.goto(`${base}/#/routes?view=board`);
  await page.locator(`[data-block="${ROUTE} aggregate"]`).waitFor({ timeout: PATIENCE });
}

/** The lines that a review shows as changed. */
async function changed(page) {
  await page.locator('.draft button.main').click();
  const diff = page.locator('.review pre.diff').first();
  await diff.waitFor({ timeout: PATIENCE });
  const lines = ((await diff.textContent()) ?? '').split('\n').filter((line) => /^[+-]/.test(line));
  await page.locator('.draft button.main').click();
  await diff.waitFor({ state: 'detached' });
  return lines;
}

async function discard(page) {
  await page.locator('.draft button', { hasText: 'Discard' }).click();
  await page.locator('.draft [role="status"]').waitFor({ state: 'detached' });
}

export async function callsByMouse(page, shop) {
  await open(page, shop.base);
  await page.locator(`[data-block="${ROUTE} aggregate"]`).click();
  await rows(page, ['user', 'orders', 'payments'], 'an aggregate opens as rows, one for each call');
  const shape = async () => (await page.locator('.shape').textContent()) ?? '';
  expect(/"payments": \{ … \}\s*← left out when it fails/.test(await shape()), 'the shape of the answer says what may be left out');
  await accessible(page, 'the calls of an aggregate');

  await page.locator('.calls button', { hasText: '+ call' }).click();
  await row(page, 'users-v1').waitFor({ timeout: PATIENCE });
  await page.getByLabel('Name of the call').last().fill('stars');
  await page.getByLabel('Name of the call').last().press('Enter');
  await row(page, 'stars').waitFor({ timeout: PATIENCE });
  await page.getByLabel('Service of stars').selectOption('recommendations');
  // At once, as fast as a person's hands: the second change is of what the first has made.
  await page.getByLabel('Path of stars').fill('/recommendations/{user.body.id}');
  await page.getByLabel('Path of stars').press('Enter');
  await page.locator('[data-call="stars"] button', { hasText: 'after user' }).waitFor({ timeout: PATIENCE });
  expect(true, 'a call that uses the answer of another waits for it');
  await page.getByLabel('When stars fails').selectOption('default');
  await page.getByLabel('What stands in for stars, as JSON').fill('[]');
  await page.getByLabel('What stands in for stars, as JSON').press('Enter');
  await step(page, 'stars / default');
  await good(page);
  expect(/"stars": \{ … \}\s*← or what stands in for it/.test(await shape()), 'a new call stands in the answer');
  const added = await changed(page);
  expect(added.length === 1 && /^\+ +stars: \{ from: "recommendations \/recommendations\/\{user\.body\.id\}", default: \[\] \}$/.test(added[0]), `one line is added: ${added.join(' ')}`);

  // By its handle above the first.
  await row(page, 'stars').scrollIntoViewIfNeeded();
  const [from, to] = [await row(page, 'stars').locator('.handle').boundingBox(), await row(page, 'user').boundingBox()];
  await page.mouse.move(from.x + from.width / 2, from.y + from.height / 2);
  await page.mouse.down();
  await page.mouse.move(from.x + 12, from.y - 12, { steps: 5 });
  await page.mouse.move(to.x + 40, to.y + 6, { steps: 20 });
  await page.waitForFunction(() => document.querySelector('[data-call]')?.getAttribute('data-call') === 'stars', null, { timeout: PATIENCE });
  await page.mouse.up();
  await rows(page, ['stars', 'user', 'orders', 'payments'], 'a call is dragged to another place');
  await good(page);
  await page.waitForFunction(() => /\{\s*"stars"/.test(document.querySelector('.shape')?.textContent ?? ''), null, { timeout: PATIENCE });

  await page.getByLabel('When payments fails').selectOption('required');
  await page.waitForFunction(() => !document.querySelector('.shape')?.textContent?.includes('left out'), null, { timeout: PATIENCE });
  await page.getByLabel('Take orders away').click();
  await rows(page, ['stars', 'user', 'payments'], 'a call is taken away');
  await good(page);
  const lines = await changed(page);
  expect(lines.every((line) => /stars|orders|payments/.test(line)) && lines.some((line) => /^\+ +payments: "payments \/payments\/balance/.test(line)), `what is needed again is written short: ${lines.join(' ')}`);
  await discard(page);
}

export async function callsByKeyboard(page, shop) {
  await open(page, shop.base);
  const heard = (words) => page.waitForFunction((words) => document.querySelector('.calls [aria-live]')?.textContent?.includes(words), words, { timeout: PATIENCE });
  await tabTo(page, 'the block', `[data-block="${ROUTE} aggregate"]`);
  await page.keyboard.press('Enter');
  await row(page, 'user').waitFor({ timeout: PATIENCE });
  await tabTo(page, 'the handle', '[data-call="user"] .handle');
  await page.keyboard.press('ArrowDown');
  await heard('user is call 2 of 3');
  await page.waitForFunction(() => document.activeElement?.closest('[data-call]')?.getAttribute('data-call') === 'user', null, { timeout: PATIENCE });
  await page.keyboard.press('End');
  await heard('user is call 3 of 3');
  await rows(page, ['orders', 'payments', 'user'], 'a call is moved by keys, each step is told, and the focus goes along');
  await page.keyboard.press('Home');
  await heard('user is call 1 of 3');
  await tabTo(page, 'the name', '[data-call="user"] input');
  await page.keyboard.press('Control+a');
  await page.keyboard.type('person');
  await page.keyboard.press('Enter');
  await rows(page, ['person', 'orders', 'payments'], 'a call is renamed by keys');
  await tabTo(page, 'the rule', '[data-call="person"] select[aria-label^="When"]');
  await page.keyboard.press('ArrowDown');
  await page.waitForFunction(() => /"person": \{ … \},?\s*← left out/.test(document.querySelector('.shape')?.textContent ?? ''), null, { timeout: PATIENCE });
  await tabTo(page, 'the handle of payments', '[data-call="payments"] .handle');
  await page.keyboard.press('Delete');
  await rows(page, ['person', 'orders'], 'a call is taken away by keys');
  await good(page);
  await discard(page);
  // What forwarded to one service asks it as the first of several, and goes back.
  const plain = '/recommendations/*';
  await page.getByLabel(`Add a block to ${plain}`, { exact: true }).selectOption('aggregate');
  await rows(page, ['recommendations'], 'a route that forwards becomes an aggregate of what it asked');
  await good(page);
  await page.locator('.calls .buttons button', { hasText: 'Take away' }).click();
  await page.locator(`[data-block="${plain} aggregate"]`).waitFor({ state: 'detached', timeout: PATIENCE });
  await page.waitForFunction(() => !document.querySelector('.faults'), null, { timeout: PATIENCE });
  await discard(page);
  const { text } = await api(shop, 'GET', '/api/v1/config');
  expect(text.includes('      user: users /v2/users/{query.user}\n      orders: orders'), 'nothing was put in force');
}

/** What holds for the edits of an aggregate whatever it says. */
export async function shapes() {
  const root = join(dirname(fileURLToPath(import.meta.url)), '..');
  const server = await createServer({ root, logLevel: 'silent', server: { middlewareMode: true, ws: false }, appType: 'custom' });
  try {
    const { begin, calls, change, fresh, merged, moved, renamed, ruled } = await server.ssrLoadModule('/src/lib/aggregate.ts');
    const same = (found, wanted, what) => JSON.stringify(found) === JSON.stringify(wanted) || fail(`${what}: ${JSON.stringify(found)}`);
    const parts = {
      user: 'users /users/{query.user}',
      orders: { from: 'POST orders /orders?user={user.body.id}', optional: true, after: 'user' },
      items: { from: 'products /products/{item.product}', for_each: 'orders.items', select: ['data.id', 'name'], default: null },
      more: { from: 'http://x /', flatten: true },
    };
    const all = calls(parts);
    same(all.map(({ name, method, service, path, rule, after, uses }) => [name, method, service, path, rule, after, uses]), [
      ['user', 'GET', 'users', '/users/{query.user}', 'required', [], []],
      ['orders', 'POST', 'orders', '/orders?user={user.body.id}', 'optional', ['user'], ['user']],
      ['items', 'GET', 'products', '/products/{item.product}', 'default', [], ['orders']],
      ['more', 'GET', 'http://x', '/', 'required', [], []],
    ], 'the rows');
    const path = ['routes', '/a', 'aggregate'];
    same(change(path, all[0], 'after', 'orders'), [{ op: 'set', path: [...path, 'user'], value: { from: parts.user, after: 'orders' } }], 'a short call grows');
    same(change(path, all[1], 'after', undefined), [{ op: 'remove', path: [...path, 'orders', 'after'] }], 'a key goes');
    same(ruled(path, all[3], 'optional'), [{ op: 'set', path: [...path, 'more'], value: { ...parts.more, optional: true } }], 'a rule');
    same(ruled(path, calls({ a: { from: 'b /', optional: true } })[0], 'required'), [{ op: 'set', path: [...path, 'a'], value: 'b /' }], 'a call becomes short');
    same(moved(path, all, 'more', -3), [{ op: 'move', path: [...path, 'more'], before: 'user' }], 'to the front');
    same(moved(path, all, 'user', 1), [{ op: 'move', path: [...path, 'user'], before: 'items' }], 'one down');
    same(moved(path, all, 'user', 9), [{ op: 'move', path: [...path, 'user'] }], 'to the end');
    same(moved(path, all, 'more', 1), [], 'not beyond the end');
    same(renamed(path, parts, 'orders', 'bought'), [{ op: 'rename', path: [...path, 'orders'], to: 'bought' }, { op: 'set', path: [...path, 'items'], value: { ...parts.items, for_each: 'bought.items' } }], 'whoever uses a list');
    same(renamed(path, parts, 'user', 'person')[1], { op: 'set', path: [...path, 'orders'], value: { from: 'POST orders /orders?user={person.body.id}', optional: true, after: ['person'] } }, 'whoever uses an answer');
    same(renamed(path, { parts: { a: 'b /' }, template: { x: '{a.body.y}' } }, 'a', 'c'), [{ op: 'rename', path: [...path, 'parts', 'a'], to: 'c' }, { op: 'set', path: [...path, 'template'], value: { x: '{c.body.y}' } }], 'the template too');
    same(merged(parts).map((line) => line.text), ['{', '  "user": { … },', '  "orders": { … },', '  "items": [ { "id": …, "name": … }, … ],', '  …', '}'], 'the shape');
    same(fresh(all, 'user'), 'user_2', 'a name of its own');
    same(begin('GET shop.example/orders/{id}/*', { to: 'orders' }, ['orders']), { orders: 'orders /orders/{path.id}/' }, 'what was asked before');
    expect(true, 'each change of an aggregate is an edit of its smallest part');
  } finally {
    await server.close();
  }
}
