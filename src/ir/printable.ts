const drives = String.raw`\u0000-\u0008\u000b-\u001f\u007f-\u009f\p{Bidi_Control}`;
const driving = new RegExp(`[${drives}]`, "gu");
const unseen = new RegExp(`[${drives}\\u2028\\u2029]`, "gu");

/** Names come from files others wrote: nothing in them may drive a terminal, or show text in another order than it has. */
export const printable = (text: string): string => text.replace(driving, "�");

/** JSON of a value, in which nothing drives a terminal either; it reads back the same. */
export const jsonText = (value: unknown, indent?: number): string =>
  JSON.stringify(value, null, indent).replace(
    unseen,
    // Only strings can hold one: what JSON puts between them is printable, or a line feed.
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
