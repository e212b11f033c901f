/** The tutorials: what there is, what each needs, and how one is run. run.js runs them in Node, tutorials.html in tabs, and the tests in both. */
import { isTensor, tidy } from './module.js';
import { advancedTools } from './advanced_tools.js';
import { basicTools } from './basic_tools.js';
import { bostonTraining } from './boston_training.js';
import { toyFederatedModel } from './toy_federated_model.js';
import { registerOwnRows, trustedAggregator } from './trusted_aggregator.js';

export const TUTORIALS = [
  {
    name: 'basic',
    title: 'Basic tools',
    about: 'Send a tensor, compute with the pointer, get the result; search at another worker; what goes wrong, and what is said then.',
    workers: ['bob'],
    file: 'basic_tools.js',
    run: basicTools,
  },
  {
    name: 'toy',
    title: 'A toy federated model',
    about: 'Four rows at two workers, a model with three parameters that visits them, and the same training here for comparison.',
    workers: ['bob', 'alice'],
    file: 'toy_federated_model.js',
    run: toyFederatedModel,
  },
  {
    name: 'advanced',
    title: 'Advanced tools',
    about: 'Pointers to pointers, from worker to worker directly, copies at several workers, and a tensor kind of your own.',
    workers: ['bob', 'alice', 'james'],
    file: 'advanced_tools.js',
    run: advancedTools,
  },
  {
    name: 'aggregator',
    title: 'A trusted aggregator',
    about: 'Two owners of data train a model each; a third worker averages them; only the mean comes back. Who asks for more is refused.',
    workers: ['bob', 'alice', 'james'],
    file: 'trusted_aggregator.js',
    run: trustedAggregator,
    /** What the workers have of their own before it begins. */
    prepare: registerOwnRows,
  },
  {
    name: 'boston',
    title: 'Boston housing over two workers',
    about: 'A network with three layers learns from 404 rows at two workers: its parameters visit the one that holds the batch, 51 times an epoch.',
    workers: ['bob', 'alice'],
    file: 'boston_training.js',
    run: bostonTraining,
  },
];

export function findTutorial(name) {
  const found = TUTORIALS.find((tutorial) => tutorial.name === name);
  if (found) return found;
  throw new RangeError(`there is no example '${name}'; there are ${TUTORIALS.map((tutorial) => tutorial.name).join(', ')}`);
}

/**
 * Runs one, and frees what it made, at the workers too, whether it ends well or not. `workers`: those that it names, by name. `print(text)` is told each line. What else
 * is given goes to the tutorial as it is. Answers what the tutorial answers.
 */
export async function runTutorial({ run }, { hook, workers, print, ...settings }) {
  const kept = [];
  try {
    return await tidy((scope) => {
      // For what is made after an await, and for modules: it is freed at the end.
      const keep = (made) => {
        if (isTensor(made)) return scope.track(made);
        kept.push(made);
        return made;
      };
      return run({ hook, me: hook.localWorker, ...workers, print: (text) => print(String(text)), keep, ...settings });
    });
  } finally {
    for (const made of kept) made.dispose();
  }
}
