// Asks again and again while somebody looks.

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

/** A stream of events while the page is seen; gives how to end it. */
export function stream(path: string, take: (data: string) => void, lost?: () => void): () => void {
  let source: EventSource | null = null;
  const open = () => {
    if (document.hidden || source) return;
    source = new EventSource(path);
    source.onmessage = (event) => take(String(event.data));
    source.onerror = () => lost?.();
  };
  const close = () => {
    source?.close();
    source = null;
  };
  const turn = () => (document.hidden ? close() : open());
  open();
  document.addEventListener('visibilitychange', turn);
  return () => {
    close();
    document.removeEventListener('visibilitychange', turn);
  };
}
