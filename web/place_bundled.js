/** place.js for web/core/, where everything is in one folder. */
export const coreUrl = new URL('./tabtensor_core.wasm', import.meta.url);
export const laterUrl = new URL('./tabtensor_core_later.wasm', import.meta.url);
export const threadsUrl = (ending) => new URL(`./tabtensor_threads.${ending}`, import.meta.url);
export const threadUrl = new URL('./tabtensor_worker.js', import.meta.url);
