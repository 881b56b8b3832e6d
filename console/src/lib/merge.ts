// Two texts that were made from one: what each changed, line by line, and both together where they do not touch.

/** For each line of `a` the line of `b` that it became, or -1 (Myers' algorithm, in time of length times changes). */
export function pairs(a: string[], b: string[]): number[] {
  const most = a.length + b.length;
  const trace: Map<number, number>[] = [];
  let ends = new Map<number, number>([[1, 0]]);
  outer: for (let changes = 0; changes <= most; changes++) {
    trace.push(new Map(ends));
    for (let k = -changes; k <= changes; k += 2) {
      const down = k === -changes || (k !== changes && (ends.get(k - 1) ?? -1) < (ends.get(k + 1) ?? -1));
      let x = down ? (ends.get(k + 1) ?? 0) : (ends.get(k - 1) ?? 0) + 1;
      let y = x - k;
      while (x < a.length && y < b.length && a[x] === b[y]) [x, y] = [x + 1, y + 1];
      ends.set(k, x);
      if (x >= a.length && y >= b.length) break outer;
    }
    ends = new Map(ends);
  }
  const found = new Array<number>(a.length).fill(-1);
  let [x, y] = [a.length, b.length];
  for (let changes = trace.length - 1; changes >= 0; changes--) {
    const ends = trace[changes] as Map<number, number>;
    const k = x - y;
    const down = k === -changes || (k !== changes && (ends.get(k - 1) ?? -1) < (ends.get(k + 1) ?? -1));
    const before = down ? k + 1 : k - 1;
    const start = changes === 0 ? 0 : (ends.get(before) ?? 0);
    const from = changes === 0 ? 0 : start - before;
    while (x > start && y > from && x > 0 && y > 0 && a[x - 1] === b[y - 1]) {
      [x, y] = [x - 1, y - 1];
      found[x] = y;
    }
    if (changes === 0) break;
    [x, y] = [start, from];
  }
  return found;
}

/** A stretch of the merged text: agreed, or with two versions of which one must be chosen. */
export type Piece = { lines: string[]; mine?: undefined; theirs?: undefined } | { lines?: undefined; mine: string[]; theirs: string[] };

/** What both made of `base`, together. */
export function merge(base: string, mine: string, theirs: string): Piece[] {
  const [o, a, b] = [base.split('\n'), mine.split('\n'), theirs.split('\n')];
  const [toA, toB] = [pairs(o, a), pairs(o, b)];
  const pieces: Piece[] = [];
  const push = (lines: string[]) => {
    const last = pieces.at(-1);
    if (!lines.length) return;
    if (last?.lines) last.lines.push(...lines);
    else pieces.push({ lines: [...lines] });
  };
  let [i, j, k] = [0, 0, 0];
  while (i < o.length || j < a.length || k < b.length) {
    if (i < o.length && toA[i] === j && toB[i] === k) {
      push([o[i] as string]);
      [i, j, k] = [i + 1, j + 1, k + 1];
      continue;
    }
    // Up to the next line that all three have.
    let next = i;
    while (next < o.length && !((toA[next] ?? -1) >= j && (toB[next] ?? -1) >= k)) next++;
    const [endA, endB] = next < o.length ? [toA[next] as number, toB[next] as number] : [a.length, b.length];
    const [was, own, other] = [o.slice(i, next), a.slice(j, endA), b.slice(k, endB)];
    const same = (x: string[], y: string[]) => x.length === y.length && x.every((line, nth) => line === y[nth]);
    if (same(own, other) || same(was, other)) push(own);
    else if (same(was, own)) push(other);
    else pieces.push({ mine: own, theirs: other });
    [i, j, k] = [next, endA, endB];
  }
  return pieces;
}

/** The difference of two texts, as `diff -u` writes it, without its head. */
export function difference(before: string, after: string, context = 2): string {
  const [a, b] = [before.split('\n'), after.split('\n')];
  const to = pairs(a, b);
  const lines: { sign: string; text: string }[] = [];
  let at = 0;
  for (const [nth, text] of a.entries()) {
    const partner = to[nth] ?? -1;
    if (partner < 0) lines.push({ sign: '-', text });
    else {
      while (at < partner) lines.push({ sign: '+', text: b[at++] ?? '' });
      lines.push({ sign: ' ', text });
      at = partner + 1;
    }
  }
  while (at < b.length) lines.push({ sign: '+', text: b[at++] ?? '' });
  const near = lines.map((_, nth) => lines.slice(Math.max(0, nth - context), nth + context + 1).some((line) => line.sign !== ' '));
  return lines.flatMap((line, nth) => (near[nth] ? [...(nth > 0 && !near[nth - 1] ? ['@@'] : []), `${line.sign}${line.text}`] : [])).join('\n');
}
