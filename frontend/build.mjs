// Builds the console's assets into the folder given as the only argument:
// hashed bundles, icon sprite, fonts, manifest.json, and .gz/.br beside everything that compresses.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const target = process.argv[2];
if (!target) throw new Error("usage: node build.mjs FOLDER");
await mkdir(target, { recursive: true });

const manifest = {};

const common = {
  bundle: true,
  minify: true,
  sourcemap: false,
  target: ["chrome109", "firefox115", "safari16.4"],
  outdir: target,
  entryNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  loader: { ".woff2": "file" },
  metafile: true,
  legalComments: "none",
  logLevel: "warning",
};

function collect(result) {
  for (const [file, output] of Object.entries(result.metafile.outputs)) {
    const name = path.basename(file);
    if (output.entryPoint) {
      const source = path.basename(output.entryPoint).replace(/\.ts$/, ".js");
      manifest[source] = name;
    } else if (name.endsWith(".woff2")) {
      manifest[name.replace(/-[A-Z0-9]{8}\.woff2$/, ".woff2")] = name;
    }
  }
}

collect(await build({ ...common, format: "esm", entryPoints: ["src/ts/app.ts", "src/ts/chart.ts", "src/ts/map.ts"] }));
collect(await build({ ...common, format: "iife", entryPoints: ["src/ts/live-worker.ts"] }));
collect(await build({ ...common, entryPoints: ["src/css/app.css"] }));

await writeHashed("icons.svg", await sprite());
await copyLicences();
await writeFile(path.join(target, "manifest.json"), JSON.stringify(manifest, null, 1));
await compressAll();

async function writeHashed(name, text) {
  const digest = createHash("sha256").update(text).digest("hex").slice(0, 8);
  const hashed = name.replace(/(\.\w+)$/, `-${digest}$1`);
  await writeFile(path.join(target, hashed), text);
  manifest[name] = hashed;
}

async function sprite() {
  const names = JSON.parse(await readFile("src/icons.json", "utf8"));
  const symbols = await Promise.all(
    names.map(async (name) => {
      const svg = await readFile(`node_modules/@tabler/icons/icons/outline/${name}.svg`, "utf8");
      const inner = svg.replace(/<!--[\s\S]*?-->/, "").replace(/^[\s\S]*?<svg[\s\S]*?>/, "").replace(/<\/svg>\s*$/, "");
      return `<symbol id="${name}" viewBox="0 0 24 24">${inner.replace(/\s+/g, " ").trim()}</symbol>`;
    }),
  );
  return `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("")}</svg>`;
}

async function copyLicences() {
  const parts = ["htmx.org", "uplot", "flatbush", "flatqueue", "@fontsource-variable/inter", "@tabler/icons"];
  let text = "The console's assets contain the following work of others.\n";
  for (const part of parts) {
    const folder = `node_modules/${part}`;
    const { version, license } = JSON.parse(await readFile(`${folder}/package.json`, "utf8"));
    const file = (await readdir(folder)).find((name) => /^licen[cs]e/i.test(name));
    text += `\n== ${part} ${version} (${license})\n\n${file ? await readFile(`${folder}/${file}`, "utf8") : ""}`;
  }
  await writeFile(path.join(target, "third-party-licenses.txt"), text);
}

async function compressAll() {
  for (const name of await readdir(target)) {
    if (!/\.(js|css|svg)$/.test(name)) continue;
    const file = path.join(target, name);
    const raw = await readFile(file);
    await writeFile(`${file}.gz`, gzipSync(raw, { level: 9 }));
    await writeFile(`${file}.br`, brotliCompressSync(raw, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
  }
}
