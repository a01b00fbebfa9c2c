const maxShown = 120;

// Control characters, C1 controls and the bidirectional overrides: a name must not drive the terminal it is printed on.
const unsafe = /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
const escapeChar = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** A name that came from a file, quoted, escaped and cut to a length fit for a message. */
export function quoteName(name: string): string {
  const shown = name.length > maxShown ? `${name.slice(0, maxShown)}…` : name;
  return JSON.stringify(shown).replace(unsafe, escapeChar);
}
