// What the gateway says of itself, in another language than its own.

import { PATIENCE, expect } from './shop.mjs';

const INSIGHTS = [
  {
    severity: 'warn',
    kind: 'route',
    name: '/a/{id}',
    text: 'the rate limit `120/min` of /a/{id} is nearly used up: 1.9 a second of 2 a second, 95 %',
    advice: "raise it, or see who asks so much: `tidegate tail 'route:/a/{id}'`; beyond it clients are refused",
    since: 1_800_000_000,
    said: {
      text: {
        message: '{what} of {name} is nearly used up: {used} a second of {most} a second, {share} %',
        with: { what: { message: 'the rate limit `{name}`', with: { name: '120/min' } }, name: '/a/{id}', used: '1.9', most: '2', share: '95' },
      },
      advice: { message: "raise it, or see who asks so much: `tidegate tail 'route:{route}'`; beyond it clients are refused", with: { route: '/a/{id}' } },
    },
  },
  {
    severity: 'bad',
    kind: 'service',
    name: 'users',
    text: 'users sings',
    advice: 'listen',
    since: null,
    said: { text: { message: '{service} sings', with: { service: 'users' } }, advice: { message: 'listen', with: {} } },
  },
];

/** What needs attention is told in Chinese, and as the gateway said it where the dictionary lacks it. The page speaks Chinese. */
export async function insightsInChinese(page, base) {
  await page.route('**/api/v1/insights', (route) => route.fulfill({ json: { insights: INSIGHTS } }));
  await page.route('**/api/v1/status', async (route) => {
    const status = await (await route.fetch()).json();
    const [service] = Object.values(status.services);
    Object.assign(service, { circuit: 'half_open' });
    Object.assign(service.endpoints[0], { target: 'far:80', ailment: 'down: refused: far away' });
    await route.fulfill({ json: status });
  });
  await page.goto(`${base}/#/now`);
  const lines = page.locator('ul.attention li');
  await lines.filter({ hasText: 'users sings' }).waitFor({ timeout: PATIENCE });
  const [limit, unknown] = await lines.filter({ hasText: /120\/min|sings/ }).allTextContents();
  expect(/^! \/a\/\{id\} 即将用尽速率限制 `120\/min`：每秒 1\.9 个请求，上限每秒 2 个（95%）（自 [\d:]+ 起）。 请调大上限.*'route:\/a\/\{id\}'/.test(limit.trim()), `insights speak Chinese: ${limit.trim()}`);
  expect(/^! users sings。 listen/.test(unknown.trim()), 'and English where the dictionary lacks them');
  const ill = (await lines.filter({ hasText: /far:80|熔断器/ }).allTextContents()).join(' ');
  expect(/熔断器状态：半开/.test(ill) && /far:80: 不可用: refused: far away/.test(ill), `health speaks Chinese: ${ill}`);
  await page.unroute('**/api/v1/status');
  await page.unroute('**/api/v1/insights');
}
