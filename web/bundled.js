/** What pages import, before .scripts/bundle.js writes the names below it that the modules export: it begins, and loads them. */
import { begun, place } from './start.js';

globalThis[place] = begun;
