import { join } from "node:path";
import { expect, test } from "vitest";
import { runCase } from "./node-cases.ts";
import { sharedFixtures } from "./support.ts";

const folder = sharedFixtures("onnx-node");

/** A few of each kind; all of them are in `npm run test:real`. */
const modelled: Readonly<Record<string, string>> = {
  attention:
    "3d_diff_heads_with_past_and_present 3d_gqa_softcap 4d_attn_mask_3d_causal 4d_attn_mask_bool_4d 4d_gqa_with_past_and_present_fp16 4d_diff_heads_mask4d_padded_kv 4d_softcap_neginf_mask_poison 4d_with_past_and_present_qk_matmul_bias_4d_mask_causal 3d_with_past_and_present_qk_matmul_softmax",
  rotary_embedding: "interleaved no_position_ids with_interleaved_rotary_dim with_rotary_dim",
  layer_normalization: "2d_axis0 3d_axis_negative_2_epsilon",
  reduce: "log_sum_exp_keepdims_random l2_do_not_keepdims_random sum_negative_axes_keepdims_random",
  scatter_elements: "with_negative_indices with_duplicate_indices",
};
const alone =
  "gather_elements_negative_indices gathernd_example_int32_batch_dim1 scatternd_add top_k hardmax_axis_0 softplus selu celu mish batchnorm_example instancenorm_example group_normalization_example l1normalization_axis_last slice_neg_steps split_variable_parts_2d_opset13 tril_neg einsum_batch_diagonal gemm_all_attributes mod_mixed_sign_int64 clip_splitbounds reshape_zero_and_negative_dim unsqueeze_negative_axes argmax_negative_axis_keepdims_example cumsum_1d_reverse_exclusive eyelike_with_dtype logsoftmax_large_number isinf_negative where_long_example";
const kept = "bitcast_float32_to_int32 cumprod_2d_axis_0 tensorscatter_circular dft_axis maxpool_2d_pads";

const cases = [
  ...Object.entries(modelled).flatMap(([start, names]) => names.split(" ").map((name) => `${start}_${name}`)),
  ...alone.split(" "),
];

test.skipIf(!folder)(
  "operators of the ONNX project's node tests are ours and give the stored outputs (needs the shared fixtures)",
  async () => {
    for (const name of cases)
      expect([name, await runCase(join(folder!, `test_${name}`))]).toEqual([name, { kind: "modelled" }]);
  },
);

test.skipIf(!folder)("operators that stay as they are give them too (needs the shared fixtures)", async () => {
  for (const name of kept.split(" "))
    expect([name, (await runCase(join(folder!, `test_${name}`))).kind]).toEqual([name, "kept"]);
});
