// Asks TF Serving for predictions over REST: node client.mjs [http://HOST:8501]
// Node 18 or later, nothing to install. The requests are in the files beside this one, and are sent as they are:
// JSON.parse would round whole numbers beyond 2^53, and does not read NaN.
import { readdir, readFile } from "node:fs/promises";

const MODEL = "$name";
const server = process.argv[2] ?? "http://localhost:8501";
const here = new URL(".", import.meta.url);

async function predict(body, version = "") {
  const answer = await fetch(`$${server}/v1/models/$${MODEL}$${version}:predict`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body,
    signal: AbortSignal.timeout(5000),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`$${answer.status}: $${text}`);
  return JSON.parse(text);
}

for (const file of (await readdir(here)).filter((name) => name.endsWith(".json")).sort()) {
  const body = await readFile(new URL(file, here), "utf8");
  console.log(file.replace(".json", ""), JSON.stringify(await predict(body)));
}
