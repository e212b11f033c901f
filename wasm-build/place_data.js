// Has the linker put data that the first part of a core does not need where it can be taken out of it (regions/begin.c).
//
//     node wasm-build/place_data.js WASM_SPLIT WEB FOLDER TOUR.js LIBRARY.a... --common OBJECT... [--of CORE OBJECT...]...
//
// TOUR.js is a core of these objects, linked with little effort, through which a tour is taken (take_tour.js; WEB is where it is run). FOLDER gets copies of
// the objects in which data has another section's name, and for each CORE a file CORE.objects with what to link. Of the libraries, those members are
// copied that have such data. Among the objects of a CORE, the first of a name is meant.
//
// wasm-split moves functions alone, and data stays in the first part. The relocations in the objects tell which function refers to which data, and data to data.
// What no function of a part refers to, nor one that may have been made a part of it (inlined), and nothing that it refers to either, belongs to a later part.
// That is a guess as to what will be in which function: whether it was right is seen from the linked core (regions.js), and a function for which it was wrong
// goes to the later part too. Only constant data goes there: what is written must not be there a second time.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { membersOf, readObject, withSegmentNames } from './objects.js';
import { takeTour } from './take_tour.js';

/** A function of no more bytes may be made a part of those that call it, or of the one that does. */
const MAX_INLINED_BYTES = 48;
const MAX_INLINED_ONCE_BYTES = 120;
/** So far off its beginning or end data may be referred to; regions.js relies on it. */
const MAX_OFF_BYTES = 32 * 1024;

const [wasmSplit, web, folder, tourScript, ...rest] = process.argv.slice(2);
const groups = [{ name: 'libraries', files: [] }];
for (let i = 0; i < rest.length; i++) {
  if (rest[i] === '--common') groups.push({ name: 'common', files: [] });
  else if (rest[i] === '--of') groups.push({ name: rest[++i], files: [] });
  else groups.at(-1).files.push(rest[i]);
}
const [libraries, common, ...cores] = groups;
const read = (files) => files.map((file) => ({ name: basename(file), ...readObject(readFileSync(file)) }));
const firstOfName = (files) => files.filter((file, i) => files.findIndex((other) => basename(other) === basename(file)) === i);
const shared = read(common.files);
const perCore = cores.map((core) => ({ name: core.name, objects: read(firstOfName(core.files)) }));
const ownObjects = [...shared, ...perCore.flatMap(({ objects }) => objects)];
const members = libraries.files.filter(existsSync).flatMap(membersOf).map(({ name, bytes }) => ({ name, ...readObject(bytes) })).filter(({ items }) => items !== undefined);
const allObjects = [...ownObjects, ...members];

const definitions = new Map();
for (const object of allObjects) {
  for (const item of object.items) {
    if (item.isLocal) continue;
    if (!definitions.has(item.name)) definitions.set(item.name, []);
    definitions.get(item.name).push(item);
  }
}
/** What a symbol may stand for. */
const meant = (symbol) => (symbol.isLocal && symbol.item !== undefined ? [symbol.item] : definitions.get(symbol.name) ?? []);

/** All of `items`, and what follows of each. */
function closure(items, follow) {
  const found = new Set(items);
  for (const item of found) for (const one of follow(item)) found.add(one);
  return found;
}

// What lies in one segment goes together.
const together = new Map();
for (const object of allObjects) {
  object.segments.forEach((segment, i) => {
    const items = object.items.filter((item) => item.isData && item.segment === i);
    for (const item of items) together.set(item, items);
  });
}
const everything = ({ references }) => references.flatMap(({ symbol }) => meant(symbol));
const dataOf = (item) => [...everything(item), ...(together.get(item) ?? [])].filter(({ isData }) => isData);
const exported = new Set(readFileSync(new URL('./exports', import.meta.url), 'utf8').split('\n'));
const linked = closure(allObjects.flatMap(({ items }) => items.filter(({ name }) => exported.has(name))), everything);

const nCalls = new Map();
for (const item of linked) {
  for (const { symbol, isCall } of item.references) if (isCall) for (const called of meant(symbol)) nCalls.set(called, (nCalls.get(called) ?? 0) + 1);
}
const mayBeInlined = (item) => item.nBytes <= (nCalls.get(item) === 1 ? MAX_INLINED_ONCE_BYTES : MAX_INLINED_BYTES);

/** The data that functions of these names refer to. */
function neededBy(list) {
  // Functions of one name have numbers behind it.
  const names = new Set(list.map((name) => name.replace(/\.\d+$/, '')));
  const called = [...linked].filter((item) => !item.isData && names.has(item.name));
  const functions = closure(called, (item) => item.references.flatMap(({ symbol, isCall }) => (isCall ? meant(symbol).filter(mayBeInlined) : [])));
  return closure([...functions].flatMap(dataOf), dataOf);
}

const tour = await takeTour({ wasmSplit, web, script: tourScript });
const [first, all] = [tour.first, tour.all].map(neededBy);
const inObjects = allObjects.flatMap(({ items }) => items);
const isConstant = new Set(allObjects.flatMap(({ items, segments }) => items.filter(({ isData, segment }) => isData && segments[segment].isConstant)));
const farOff = new Set();
for (const { references } of inObjects) {
  for (const { symbol, addend } of references) {
    for (const item of meant(symbol)) if (item.isData && (addend < -MAX_OFF_BYTES || addend > item.nBytes + MAX_OFF_BYTES)) farOff.add(item);
  }
}
// What stays, whoever refers to it, may not refer to what goes: nobody would see who follows it. What seems not to be linked stays as it is.
const unlinked = members.filter(({ items }) => !items.some((item) => linked.has(item)));
const stays = closure(
  [...first, ...farOff, ...inObjects.filter((item) => item.isData && !isConstant.has(item)), ...unlinked.flatMap(({ items }) => items.filter(({ isData }) => isData))],
  dataOf,
);

const partOf = new Map();
for (const object of allObjects) {
  for (const item of object.items) {
    if (item.isData && !stays.has(item)) partOf.set(object.segments[item.segment], all.has(item) ? 'tt_more' : 'tt_later');
  }
}

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
let nWritten = 0;
/** Copies of objects, with other names where data goes elsewhere; answers their files. */
const copied = (objects) =>
  objects.map((object) => {
    const file = join(folder, `${nWritten++}.${object.name}`);
    writeFileSync(file, withSegmentNames(object, (segment) => partOf.get(segment) ?? segment.name));
    return file;
  });
const sharedFiles = copied(shared);
const fromLibraries = copied(members.filter(({ segments }) => segments.some((segment) => partOf.has(segment))));
for (const { name, objects } of perCore) {
  writeFileSync(join(folder, `${name}.objects`), [...sharedFiles, ...copied(objects), ...fromLibraries].map((file) => `"${file}"\n`).join(''));
}
