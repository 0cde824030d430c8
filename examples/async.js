// The same work without waiting on the owner thread: it completes under every policy.
//
//   impasse run examples/async.js

const gp = require("geppetto");

const shout = gp.middlewares.fromJS((turn, next) => {
  const answered = next(turn);
  const last = answered.blocks[answered.blocks.length - 1];
  last.payload.text = last.payload.text.toUpperCase();
  return answered;
}, "shout");

function newSession(reply) {
  const session = gp.createSession({ engine: gp.engines.echo({ reply }), middlewares: [shout] });
  return session.append(gp.turns.newTurn({ blocks: [gp.turns.newUserBlock("hello")] }));
}

const answerOf = (turn) => turn.blocks[turn.blocks.length - 1].payload.text;

const handle = newSession("by a handle").start();
console.log("started, running:", handle.isRunning());
handle.promise.then((turn) => {
  assert(answerOf(turn) === "BY A HANDLE", answerOf(turn));
  console.log("start():", answerOf(turn));
});

(async () => {
  const answer = answerOf(await newSession("by a promise").runAsync());
  assert(answer === "BY A PROMISE", answer);
  console.log("runAsync():", answer);
})();
console.log("the script goes on");
