
// Numbers as people read them, and elements.
const UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

function bytes(count) {
  if (count < 1024) return `${count} B`;
  let unit = -1;
  let value = count;
  do {
    value /= 1024;
    unit += 1;
  } while (Number(value.toFixed(1)) >= 1024 && unit < UNITS.length - 1);
  return `${value.toFixed(1)} ${UNITS[unit]}`;
}

function percent(part, whole) {
  return `${(whole > 0 ? (part / whole) * 100 : 0).toFixed(1)} %`;
}

function time(seconds) {
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  if (minutes < 2880) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor(minutes / 60) % 24} h`;
}

// What comes from the job is only ever text: nothing here makes elements of it.
function make(tag, attributes = {}, ...content) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...content);
  return element;
}

function draw(tag, attributes = {}, ...content) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...content);
  return element;
}
