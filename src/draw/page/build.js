/** Builds the page's and the studio's code of script/, with a digest of the sources in front. */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { build } from "esbuild";

const digest = createHash("sha256");
for (const name of readdirSync("script").sort())
  digest.update(`${name}\n${readFileSync(`script/${name}`, "utf8")}\n`);

await build({
  entryPoints: ["script/page.js", "script/studio.js"], outdir: process.argv[2] ?? "built", bundle: true, minify: true,
  format: "iife", target: "es2020", charset: "utf8",
  banner: { js: `/* sources ${digest.digest("hex").slice(0, 16)} */` },
});
