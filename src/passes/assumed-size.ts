/** What an unknown length is taken to be; an unknown batch is 1. */
export const assumedLength = 512;

const batchLike = /^(b|bs|batch\w*)$/i;

/** The size a decision takes for a dimension whose size nobody gave. */
export const assumedSize = (name: string): number => (batchLike.test(name) ? 1 : assumedLength);
