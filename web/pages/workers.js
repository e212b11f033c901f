/** Several workers in one tab: a frame with worker.html for each id of the address (?ids=bob,alice). What else the address says is passed on. */
import { byId, element } from './common.js';

const { searchParams } = new URL(location.href);
const ids = (searchParams.get('ids') ?? 'bob,alice').split(',').map((id) => id.trim()).filter((id) => id !== '');
document.title = `${ids.join(', ')} · workers`;
byId('frames').replaceChildren(
  ...[...new Set(ids)].map((id) => {
    const parameters = new URLSearchParams(searchParams);
    parameters.delete('ids');
    parameters.set('id', id);
    return element('iframe', { title: `worker ${id}`, src: `worker.html?${parameters}`, className: 'frame' });
  }),
);
