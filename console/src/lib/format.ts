// Numbers and times as people read them.

/** Milliseconds, with as many digits as mean something. */
export function ms(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} s`;
  if (value >= 100) return `${Math.round(value)} ms`;
  return `${value.toFixed(value >= 10 ? 1 : 2)} ms`;
}

/** Calls in a second. */
export function rate(value: number): string {
  if (value >= 1000) return `${(value / 1000).toFixed(1)}k/s`;
  return `${value >= 10 ? Math.round(value) : value.toFixed(1)}/s`;
}

/** A share of one. */
export function percent(value: number): string {
  const share = value * 100;
  return `${share >= 10 || share === 0 ? share.toFixed(0) : share.toFixed(2)} %`;
}

export function count(value: number): string {
  return value.toLocaleString('en-US').replaceAll(',', ' ');
}

/** Bytes, in the unit that fits. */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let [size, unit] = [value, 0];
  while (size >= 1024 && unit < units.length - 1) [size, unit] = [size / 1024, unit + 1];
  return `${size >= 100 || unit === 0 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** A stretch of time, from seconds. */
export function span(seconds: number): string {
  if (seconds >= 172_800) return `${Math.floor(seconds / 86_400)} d`;
  if (seconds >= 7200) return `${Math.floor(seconds / 3600)} h`;
  return seconds >= 120 ? `${Math.floor(seconds / 60)} min` : `${Math.round(seconds)} s`;
}

/** The time of a day, from seconds since 1970. */
export function clock(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString('en-GB');
}

/** Whether something is in trouble: the colour is never alone, a mark stands beside it. */
export function health(calls: number, errorRate: number): 'good' | 'warn' | 'bad' {
  if (calls === 0) return 'good';
  if (errorRate >= 0.05) return 'bad';
  return errorRate >= 0.01 ? 'warn' : 'good';
}

export const WINDOWS = ['10s', '1m', '5m', '15m', '1h', '6h', '1d'];
/** Windows of what a gateway keeps on its disk, if it does: their days. */
export const LONG_WINDOWS = [7, 30, 90];
