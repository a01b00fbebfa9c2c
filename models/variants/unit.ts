import { sqrt, sum, type Tensor } from "qkv";

/** Vectors of the last axis, of length 1. */
export const unit = (x: Tensor): Tensor => x.div(sqrt(sum(x.mul(x), { axes: -1, keepDims: true }).add(1e-6)));
