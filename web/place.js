/** Where the files are that are not modules. (place_bundled.js is the same for the one file that .scripts/bundle.js makes of the modules.) */
export const coreUrl = new URL('./core/tabtensor_core.wasm', import.meta.url);
export const laterUrl = new URL('./core/tabtensor_core_later.wasm', import.meta.url);
export const threadsUrl = (ending) => new URL(`./core/tabtensor_threads.${ending}`, import.meta.url);
export const threadUrl = new URL('./tabtensor_worker.js', import.meta.url);
