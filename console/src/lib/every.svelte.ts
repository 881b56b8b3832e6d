// Asks again and again while somebody looks.

import { key } from './api';

/** Runs at once and then each so many milliseconds, except while the page is hidden; gives how to end it. */
export function every(milliseconds: number, run: () => unknown): () => void {
  let timer = 0;
  const step = () => {
    if (!document.hidden) void run();
  };
  step();
  timer = window.setInterval(step, milliseconds);
  document.addEventListener('visibilitychange', step);
  return () => {
    clearInterval(timer);
    document.removeEventListener('visibilitychange', step);
  };
}

/**
 * A stream of server-sent events while the page is seen; gives how to end it. Not by EventSource, which cannot send the
 * key of the session. After a break it goes on behind the last event.
 */
export function stream(path: string, take: (data: string) => void, lost?: () => void): () => void {
  let control: AbortController | null = null;
  let seen = '';
  let timer = 0;
  const close = () => {
    clearTimeout(timer);
    control?.abort();
    control = null;
  };
  const open = async () => {
    if (document.hidden || control) return;
    const own = (control = new AbortController());
    try {
      const headers: Record<string, string> = { 'X-Tidegate-Key': key.get() };
      if (seen) headers['Last-Event-ID'] = seen;
      const answer = await fetch(path, { headers, signal: own.signal });
      const reader = answer.ok && answer.body ? answer.body.pipeThrough(new TextDecoderStream()).getReader() : null;
      let text = '';
      while (reader) {
        const { value, done } = await reader.read();
        if (done) break;
        text += value;
        const events = text.split('\n\n');
        text = events.pop() ?? '';
        for (const event of events) {
          const lines = event.split('\n');
          const id = lines.find((line) => line.startsWith('id:'));
          if (id) seen = id.slice(3).trim();
          const data = lines.filter((line) => line.startsWith('data:')).map((line) => line.slice(5).trimStart());
          if (data.length) take(data.join('\n'));
        }
      }
    } catch {
      // What broke is tried again below.
    }
    if (control !== own) return;
    control = null;
    lost?.();
    timer = window.setTimeout(open, 1000);
  };
  const turn = () => (document.hidden ? close() : void open());
  void open();
  document.addEventListener('visibilitychange', turn);
  return () => {
    close();
    document.removeEventListener('visibilitychange', turn);
  };
}
