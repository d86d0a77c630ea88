// Reads a file as its format's own tools do, and prints what they find in it: node read.js pprof|speedscope FOLDER FILE, where
// FOLDER is that of node_modules.
const fs = require("fs");
const path = require("path");
const zlib = require("zlib");

const [format, folder, file] = process.argv.slice(2);
const modules = path.join(folder, "node_modules");
const bytes = fs.readFileSync(file);

function pprof() {
  const { perftools } = require(path.join(modules, "pprof/proto/profile.js"));
  const profile = perftools.profiles.Profile.decode(zlib.gunzipSync(bytes));
  const text = (index) => profile.stringTable[Number(index)];
  const functions = new Map(profile.function.map((one) => [Number(one.id), one]));
  const locations = new Map(profile.location.map((one) => [Number(one.id), one]));
  const types = profile.sampleType.map((type) => [text(type.type), text(type.unit)]);
  const sums = types.map((_, at) => profile.sample.reduce((sum, sample) => sum + Number(sample.value[at]), 0));
  const stack = (sample) =>
    sample.locationId.map((id) => {
      const [line] = locations.get(Number(id)).line;
      const called = functions.get(Number(line.functionId));
      return `${text(called.filename)}:${line.line} (${text(called.name)})`;
    });
  const largest = profile.sample.reduce((a, b) => (Number(b.value[1]) > Number(a.value[1]) ? b : a));
  return {
    problem: perftools.profiles.Profile.verify(profile),
    types,
    sums,
    foremost: text(profile.defaultSampleType),
    largest: stack(largest),
  };
}

function speedscope() {
  const Ajv = require(path.join(modules, "ajv"));
  const schema = JSON.parse(fs.readFileSync(path.join(modules, "speedscope/dist/release/file-format-schema.json")));
  const ajv = new (Ajv.default ?? Ajv)({ strict: false });
  const isValid = ajv.compile(schema);
  const contents = JSON.parse(bytes);
  const problem = isValid(contents) ? null : ajv.errorsText(isValid.errors);
  const [profile] = contents.profiles;
  const sum = profile.weights.reduce((a, b) => a + b, 0);
  const largest = profile.samples[profile.weights.indexOf(Math.max(...profile.weights))];
  const named = (at) => {
    const frame = contents.shared.frames[at];
    return `${frame.file}:${frame.line} (${frame.name})`;
  };
  return { problem, sums: [sum], end: profile.endValue, largest: largest.map(named).reverse() };
}

console.log(JSON.stringify({ pprof, speedscope }[format]()));
