// The page of metrics, read: for the few numbers that no other answer has.

export interface Reading {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export async function metrics(wanted: RegExp): Promise<Reading[]> {
  const answer = await fetch('/metrics');
  const text = await answer.text();
  const found: Reading[] = [];
  for (const line of text.split('\n')) {
    const parts = /^([a-zA-Z_:]+)(?:\{(.*)\})? (\S+)/.exec(line);
    const name = parts?.[1];
    if (!parts || !name || !wanted.test(name)) continue;
    const labels = Object.fromEntries([...(parts[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map((label) => [label[1] ?? '', (label[2] ?? '').replace(/\\(.)/g, '$1')]));
    found.push({ name, labels, value: Number(parts[3]) });
  }
  return found;
}
