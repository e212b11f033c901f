/** The first page: where one is, whether the relay answers, who else is here. */
import { byId, join, randomName, run, showPeers, who } from './common.js';

run(async () => {
  byId('address').textContent = location.origin + '/';
  byId('worker-link').href = `worker.html?id=${randomName()}`;
  const { me } = await join(randomName(), 'tabtensor');
  byId('self').replaceChildren(who(me.id));
  document.title = 'tabtensor: tensors that live where the data is';
  const state = byId('state');
  const mirror = () => (byId('connection').textContent = state.textContent.replace(`${me.id}: `, ''));
  new MutationObserver(mirror).observe(state, { childList: true });
  mirror();
  showPeers(me);
});
