// Answers of an ONNX file, or of its two halves, by ONNX Runtime's JavaScript:
// `node onnxruntime.mjs PACKAGE MODEL [SECOND_HALF] ROWS OUTPUT`.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [name, ...files] = process.argv.slice(2);
const [rows, output] = files.splice(-2);
const require = createRequire(join(process.cwd(), "package.json"));
const ort = require(name);
const described = JSON.parse(readFileSync(rows, "utf-8"));
let feeds = {};
for (const [input, entry] of Object.entries(described.inputs)) {
  if (entry.kind === "string") {
    feeds[input] = new ort.Tensor("string", entry.values, entry.shape);
  } else {
    const bytes = Uint8Array.from(Buffer.from(entry.values, "base64"));
    const values = entry.kind === "float" ? new Float32Array(bytes.buffer) : new BigInt64Array(bytes.buffer);
    feeds[input] = new ort.Tensor(entry.kind === "float" ? "float32" : "int64", values, entry.shape);
  }
}
for (const file of files) {
  const session = await ort.InferenceSession.create(new Uint8Array(readFileSync(file)));
  feeds = await session.run(Object.fromEntries(session.inputNames.map((input) => [input, feeds[input]])));
}
writeFileSync(output, new Uint8Array(Float32Array.from(feeds[described.answer].data).buffer));
const version = require(join(process.cwd(), "node_modules", name, "package.json")).version;
console.log(`${name} ${version}, node ${process.version}`);
