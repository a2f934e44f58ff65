// The one comment that CI keeps on a pull request. Used by report.yml; nothing of the pull request is run or checked out.
//
// CML posts it and knows it by its watermark. What CML cannot do is done here, through the API: it looks at the first 30
// comments only, takes a watermark that a stranger has copied for its own, and does not try again when GitHub answers 502.

const fs = require('fs')
const path = require('path')

const TITLE = 'gitrain'
const WATERMARK = new RegExp(`!\\[\\]\\(https://cml\\.dev/watermark\\.png#[0-9a-fA-F]+ "CML watermark ${TITLE}"\\)`)
const SEEN_BY_CML = 30
const ATTEMPTS = 5

const plain = (body) => body.replace(/\r\n/g, '\n').trim()
const unmarked = (body) => plain(body.replace(WATERMARK, ''))

/** All comments on the pull request, oldest first. */
const allComments = (github, context, number) =>
  github.paginate(github.rest.issues.listComments, {...context.repo, issue_number: number, per_page: 100})

/** Those that this workflow wrote. A watermark alone proves nothing: whoever can comment can copy it. */
const ours = (comments, author) =>
  comments.filter(({user, body}) => user && user.type === 'Bot' && user.login === author && WATERMARK.test(body || ''))

/**
 * The open pull request that the run was for, or null with a reason. The event and the API say so, never the artifact.
 * For a fork the event names none, so its branch is looked up.
 */
async function findPullRequest({github, context}, run) {
  const owner = run.head_repository && run.head_repository.full_name.split('/')[0]
  let numbers = (run.pull_requests || []).map(({number}) => number)
  if (!numbers.length && owner) {
    const head = `${owner}:${run.head_branch}`
    const pulls = await github.paginate(github.rest.pulls.list, {...context.repo, state: 'open', head, per_page: 100})
    numbers = pulls.map(({number}) => number)
  }
  const found = []
  for (const pull_number of numbers) {
    const {data} = await github.rest.pulls.get({...context.repo, pull_number})
    if (data.state === 'open') found.push(data)
  }
  if (!found.length) return {reason: `no open pull request comes from ${owner}:${run.head_branch}`}
  const current = found.filter(({head}) => head.sha === run.head_sha)
  if (!current.length) return {reason: `the pull request has moved on from ${run.head_sha}: a later run reports on it`}
  const wanted = context.payload.repository.default_branch
  return {number: (current.find(({base}) => base.ref === wanted) || current[0]).number}
}

/** The comment's text: whose verdict it is, then the validated report or why there is none. */
function compose(context, run, report, problem) {
  const link = `${context.serverUrl}/${context.repo.owner}/${context.repo.repo}/actions/runs/${run.id}`
  const sha = String(run.head_sha).slice(0, 12)
  const about = `<sub>Commit ${sha} · [CI run](${link}): ${run.conclusion} · written by the code of this pull request</sub>`
  if (report === null) return `## No report\n\n${problem} [The run](${link}) says why.\n\n${about}\n`
  // Tests and lint are no verdicts of the report, and the run is red without them.
  const alarm = run.conclusion === 'success' ? '' : `> **CI ended with ${run.conclusion}.** [The run](${link}) shows where.\n\n`
  return `${alarm}${report.trimEnd()}\n\n${about}\n`
}

/**
 * Find the pull request, write the comment's text to a file and to the step summary, and say how it is to be posted:
 * "create" or "update" by CML, or "api" where CML would take another comment or none.
 */
async function prepare({github, context, core}) {
  const {REPORT_STATE, AUTHOR, RUNNER_TEMP} = process.env
  const run = context.payload.workflow_run
  const valid = REPORT_STATE === 'success'
  const problem = REPORT_STATE === 'failure'
    ? 'The report that CI left was refused: it is not of the form that is posted.'
    : `CI ended (${run.conclusion}) before it had written a report.`
  const text = compose(context, run, valid ? fs.readFileSync(path.join(RUNNER_TEMP, 'posted.md'), 'utf8') : null, problem)
  fs.writeFileSync(path.join(RUNNER_TEMP, 'comment.md'), text)
  // Whatever becomes of the comment, the report can be read here.
  fs.appendFileSync(process.env.GITHUB_STEP_SUMMARY, text)
  const {number, reason} = await findPullRequest({github, context}, run)
  if (!number) {
    core.notice(`Nothing is posted: ${reason}`)
    return
  }
  const comments = await allComments(github, context, number)
  const mine = ours(comments, AUTHOR)
  const theirs = comments.slice(0, SEEN_BY_CML).filter(({body}) => WATERMARK.test(body || '')).pop()
  const last = mine[mine.length - 1]
  const how = !last ? 'create' : theirs && theirs.id === last.id ? 'update' : 'api'
  core.info(`pull request ${number}: ${comments.length} comments, ${mine.length} of them ours; to ${how}`)
  core.setOutput('number', number)
  core.setOutput('how', how)
}

/** See to it that the pull request has one comment of ours, and that it says what it should. */
async function settle({github, context, core}) {
  const {NUMBER, AUTHOR, PAUSE, RUNNER_TEMP} = process.env
  const text = fs.readFileSync(path.join(RUNNER_TEMP, 'comment.md'), 'utf8')
  const marked = `${text}\n\n![](https://cml.dev/watermark.png#${context.sha} "CML watermark ${TITLE}")`
  const issue = {...context.repo, issue_number: Number(NUMBER)}
  for (let attempt = 1; ; attempt++) {
    try {
      // Asked anew each time: a request that was answered by 502 may have arrived all the same.
      const mine = ours(await allComments(github, context, issue.issue_number), AUTHOR)
      const last = mine.pop()
      if (!last) {
        const {data} = await github.rest.issues.createComment({...issue, body: marked})
        core.info(`posted through the API: ${data.html_url}`)
      } else if (unmarked(last.body) !== plain(text)) {
        const {data} = await github.rest.issues.updateComment({...context.repo, comment_id: last.id, body: marked})
        core.info(`updated through the API: ${data.html_url}`)
      } else {
        core.info(`up to date: ${last.html_url}`)
      }
      for (const {id} of mine) await github.rest.issues.deleteComment({...context.repo, comment_id: id})
      return
    } catch (error) {
      const {status, response} = error
      const asked = response && response.headers && response.headers['retry-after'] // a rate limit, by 403 or 429
      const passing = !status || status >= 500 || status === 429 || asked
      if (attempt >= ATTEMPTS || !passing) {
        core.setFailed(`The comment could not be posted (${error.message}). The report is in this run's summary.`)
        return
      }
      core.warning(`attempt ${attempt} of ${ATTEMPTS} to post the comment: ${error.message}`)
      await new Promise((resolve) => setTimeout(resolve, Number(PAUSE) * 1000 * 2 ** (attempt - 1)))
    }
  }
}

module.exports = {prepare, settle}
