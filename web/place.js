/** Where the files are that are not modules. (place_bundled.js is the same for what .scripts/bundle.js makes of the modules.) */
export const here = new URL('.', import.meta.url).href;
export const coreFile = (name) => new URL(`./core/${name}`, import.meta.url);
export const threadUrl = new URL('./tabtensor_worker.js', import.meta.url);
