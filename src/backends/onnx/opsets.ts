/** The first and the last version of the standard operators models can be written for. */
export const opsetRange = { first: 17, last: 26 } as const;

/** The last version of the standard operators whose meaning we know. */
export const newestOpset = 27;

/** The first one whose models are read as they were meant, as far as is known. */
export const oldestOpset = 7;

/** The file format version that came with each operator version. */
export const irVersions: ReadonlyMap<number, number> = new Map([
  [17, 8],
  [18, 8],
  [19, 9],
  [20, 9],
  [21, 10],
  [22, 10],
  [23, 11],
  [24, 11],
  [25, 13],
  [26, 13],
]);
