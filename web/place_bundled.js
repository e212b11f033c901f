/** place.js for web/core/, where everything is in one folder. */
export const here = new URL('.', import.meta.url).href;
export const coreFile = (name) => new URL(`./${name}`, import.meta.url);
export const threadUrl = new URL('./tabtensor_worker.js', import.meta.url);
