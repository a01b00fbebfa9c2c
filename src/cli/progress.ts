/** A line on stderr that rewrites itself; silent unless stderr is a terminal. */
export interface Progress {
  update(text: string): void;
  done(): void;
}

export function progress(): Progress {
  const { stderr } = process;
  if (!stderr.isTTY) return { update: () => {}, done: () => {} };
  const clear = "\r\u001b[2K";
  return {
    update: (text) => void stderr.write(`${clear}${text.slice(0, (stderr.columns ?? 80) - 1)}`),
    done: () => void stderr.write(clear),
  };
}

/** `▕████    ▏ 40 %`. */
export function bar(done: number, total: number, width = 24): string {
  const share = total === 0 ? 1 : done / total;
  const filled = Math.round(share * width);
  return `▕${"█".repeat(filled)}${" ".repeat(width - filled)}▏ ${String(Math.round(share * 100)).padStart(3)} %`;
}
