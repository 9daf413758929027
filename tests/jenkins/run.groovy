// A stand-in for Jenkins: runs one declarative Jenkinsfile as one build.
//
//   groovy run.groovy build.json
//
// build.json: jenkinsfile, repository, commit, workspace, output, keep, labels, environ, variables, parameters.
// Standard output is the trace, one JSON object a line. At an `input` the build waits for one line on standard input:
// {"by": "anna", "groups": [...], "parameters": {...}}, {"by": "anna", "abort": true} or {"timeout": true}.
//
// The order of things (options, agent, when, environment, steps, post) is that of Jenkins' declarative
// interpreter. `sh` really runs, on one agent whose workspace is emptied each time it is taken, as if it were another
// machine. What is not here is refused by name, and the build counts for nothing.
import groovy.ant.FileNameFinder
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import groovy.xml.XmlSlurper
import java.nio.file.Files
import java.nio.file.StandardCopyOption
import org.apache.tools.ant.types.selectors.SelectorUtils
import org.codehaus.groovy.control.CompilerConfiguration
import org.codehaus.groovy.control.MultipleCompilationErrorsException

/** What the stand-in does not do: no pipeline can catch it. */
class Unsupported extends Error {
    Unsupported(String message) { super(message) }
}

/** What Jenkins calls a failure or an abort; any other exception is the stand-in's own and ends it. */
class Problem extends Exception {
    final String result

    Problem(String message, String result) {
        super(message)
        this.result = result
    }
}

class Failed extends Problem {
    Failed(String message) { super(message, 'FAILURE') }
}

/** Refused, or out of time. */
class Aborted extends Problem {
    Aborted(String message) { super(message, 'ABORTED') }
}

/** A block of directives: collects the calls made in it and refuses those that it does not know. */
class Block {
    final String where
    final Map<String, List> calls = [:]
    private final Set<String> known
    private final Build build

    Block(String where, Collection<String> known, Build build, Closure body) {
        this.where = where
        this.known = known as Set
        this.build = build
        body.delegate = this
        body.resolveStrategy = Closure.DELEGATE_ONLY
        body.call()
    }

    def methodMissing(String name, arguments) {
        if (!(name in known)) {
            throw new Unsupported("${where}: found ${name}; this stand-in does ${known.sort().join(', ')}")
        }
        (calls[name] = calls.getOrDefault(name, []) + [arguments as List]) && arguments ? arguments[0] : name
    }

    def propertyMissing(String name) { name in ['any', 'none'] ? name : build.steps.propertyMissing(name) }

    def one(String name) { calls[name]?.first()?.with { empty ? true : first() } }
}

/** `environment`: names and values, in order. */
class Variables {
    final Map<String, String> values = [:]
    private final Build build

    Variables(Build build) { this.build = build }

    void setProperty(String name, value) { values[name] = "${value}".toString() }

    def getProperty(String name) { name == 'values' ? this.@values : this.@values[name] ?: this.@build.steps.propertyMissing(name) }
}

class Stage {
    static final List<String> KNOWN = ['agent', 'options', 'environment', 'when', 'steps', 'stages', 'post']
    static final List<String> POST = ['always', 'aborted', 'failure', 'success', 'unstable', 'unsuccessful', 'cleanup']
    final String name
    final Block block
    final Block options
    final Map<String, Closure> post = [:]
    final List<Stage> stages = []

    Stage(String name, Collection<String> known, Build build, Closure body) {
        this.name = name
        block = new Block(name, known, build, body)
        List<String> wrappers = ['timeout', 'timestamps', 'skipDefaultCheckout']
        List<String> properties = known.contains('parameters') ? ['buildDiscarder', 'logRotator', 'disableConcurrentBuilds'] : []
        options = new Block("${name}: options", wrappers + properties, build, block.one('options') ?: { })
        new Block("${name}: post", POST, build, block.one('post') ?: { }).calls.each { key, calls -> post[key] = calls[0][0] }
        new Block("${name}: stages", ['stage'], build, block.one('stages') ?: { }).calls['stage'].each { call ->
            stages << new Stage(call[0], KNOWN, build, call[1])
        }
        if (!stages && !block.one('steps')) {
            throw new Unsupported("${name}: found neither steps nor stages")
        }
    }
}

class CurrentBuild {
    static final List<String> RESULTS = ['SUCCESS', 'UNSTABLE', 'FAILURE', 'NOT_BUILT', 'ABORTED']
    String result

    void setResult(String value) { result = RESULTS.indexOf(value) > RESULTS.indexOf(result) ? value : result }

    String getCurrentResult() { result ?: 'SUCCESS' }
}

/** `env`: read and written by pipelines; a value written lasts to the end of the build. */
class Env {
    private final Build build

    Env(Build build) { this.build = build }

    def getProperty(String name) { this.@build.variables()[name] }

    void setProperty(String name, value) { this.@build.written[name] = "${value}".toString() }
}

/** The steps; a method here is a step. */
class Steps {
    private final Build build

    Steps(Build build) { this.build = build }

    def methodMissing(String name, arguments) { throw new Unsupported("${build.stageNames.join(' / ')}: this stand-in has no step ${name}") }

    def propertyMissing(String name) {
        Map named = [env: build.env, params: build.parameters, currentBuild: build.currentBuild, scm: build]
        if (name in named) {
            return named[name]
        }
        build.variables()[name] ?: { throw new Failed("groovy.lang.MissingPropertyException: No such property: ${name}") }()
    }

    def sh(String script) { sh(script: script) }

    def sh(Map given) {
        build.check('sh', given, ['script', 'returnStdout', 'returnStatus', 'label'])
        String script = given.script
        build.console.println("+ ${script}")
        long start = System.nanoTime()
        File captured = new File(build.output, 'stdout.txt')
        ProcessBuilder starter = new ProcessBuilder(['sh', '-xe', '-c', script]).directory(build.here('sh'))
        starter.environment().clear()
        starter.environment().putAll(build.variables())
        starter.redirectError(ProcessBuilder.Redirect.appendTo(build.log))
        starter.redirectOutput(given.returnStdout ? ProcessBuilder.Redirect.to(captured) : ProcessBuilder.Redirect.appendTo(build.log))
        starter.redirectInput(new File('/dev/null'))
        int status = build.await(starter.start())
        build.tell('sh', [script: script, status: status, seconds: ((System.nanoTime() - start) / 1e8 as long) / 10.0])
        if (status && !given.returnStatus) {
            throw new Failed("script returned exit code ${status}")
        }
        given.returnStdout ? captured.text : given.returnStatus ? status : null
    }

    def script(Closure body) { build.perform(body) }

    def echo(String message) { build.console.println(message) }

    def error(String message) { throw new Failed(message) }

    def println(Object message) { echo("${message}") }

    def sleep(Object seconds) { methodMissing('sleep', seconds) }

    def string(Map given) { build.check('string', given, ['name', 'defaultValue', 'description', 'trim']) }

    def withEnv(List<String> given, Closure body) {
        build.within(given.collectEntries { it.toString().split('=', 2) as List }) { build.perform(body) }
    }

    def timeout(Map given, Closure body) {
        build.inTime(given) { build.perform(body) }
    }

    def catchError(Map given = [:], Closure body) {
        build.check('catchError', given, ['buildResult', 'message'])
        try {
            build.perform(body)
        } catch (Problem problem) {
            echo("${given.message ?: 'caught'}: ${problem.message}")
            build.currentBuild.result = given.buildResult ?: 'FAILURE'
        }
    }

    def node(String label, Closure body) { build.onAgent(label, false) { build.perform(body) } }

    def checkout(Object scm) { build.checkout() }

    def input(Map given) {
        build.check('input', given, ['message', 'ok', 'submitter', 'submitterParameter', 'parameters'])
        build.tell('input', [message: "${given.message}".toString(), submitter: given.submitter, executors: build.executors])
        Map answer = build.answer(given.submitter)
        if (answer.timeout) {
            throw new Aborted('Timeout has been exceeded')
        }
        if (answer.abort) {
            throw new Aborted("Rejected by ${answer.by}")
        }
        Map values = (given.parameters ?: []).collectEntries { [it.name, answer.parameters?.get(it.name) ?: it.defaultValue ?: ''] }
        values += given.submitterParameter ? [(given.submitterParameter): answer.by] : [:]
        values.size() == 1 ? values.values().first() : values
    }

    def mail(Map given) {
        build.check('mail', given, ['to', 'subject', 'body'])
        if (!given.to) {
            throw new Failed('mail: nobody to send to')
        }
        File file = new File(build.folder('mails'), "${build.folder('mails').list().length + 1}.eml")
        file.text = "To: ${given.to}\nSubject: ${given.subject}\nContent-Type: text/plain; charset=utf-8\n\n${given.body}\n"
        build.tell('mail', [to: given.to, subject: "${given.subject}".toString()])
    }

    def stash(Map given) {
        build.check('stash', given, ['name', 'includes', 'excludes', 'allowEmpty'])
        build.folder("stashes/${given.name}").deleteDir()
        List<String> names = build.copy('stash', given.includes ?: '**', given.excludes, build.folder("stashes/${given.name}"))
        if (!names && !given.allowEmpty) {
            throw new Failed("No files included in stash ‘${given.name}’")
        }
        build.tell('stash', [name: given.name, files: names.size()])
    }

    def unstash(String name) {
        File stashed = new File(build.output, "stashes/${name}")
        if (!stashed.directory) {
            throw new Failed("No such saved stash ‘${name}’")
        }
        build.copy('unstash', '**', null, build.here('unstash'), stashed)
    }

    def archiveArtifacts(String artifacts) { archiveArtifacts(artifacts: artifacts) }

    def archiveArtifacts(Map given) {
        build.check('archiveArtifacts', given, ['artifacts', 'excludes', 'allowEmptyArchive'])
        List<String> names = build.copy('archiveArtifacts', given.artifacts, given.excludes, build.folder('archive'))
        if (!names && !given.allowEmptyArchive) {
            throw new Failed("No artifacts found that match the file pattern \"${given.artifacts}\"")
        }
        build.tell('archiveArtifacts', [files: names])
    }

    def publishHTML(Map all) {
        Map given = build.check('publishHTML', all, ['target']).target
        build.check('publishHTML', given, ['reportDir', 'reportFiles', 'reportName', 'keepAll', 'alwaysLinkToLastBuild', 'allowMissing'])
        File source = new File(build.here('publishHTML'), given.reportDir)
        if (!source.directory) {
            if (given.allowMissing) {
                return
            }
            throw new Failed("Specified HTML directory '${source}' does not exist.")
        }
        List<String> pages = new FileNameFinder().getFileNames(source.path, given.reportFiles).collect { it - "${source.path}/" }
        build.copy('publishHTML', '**', null, build.folder("html/${given.reportName}"), source)
        build.tell('publishHTML', [name: given.reportName, pages: pages])
    }

    def publishChecks(Map given) {
        build.check('publishChecks', given, ['name', 'title', 'summary', 'text', 'detailsURL', 'conclusion'])
        new File(build.folder('checks'), "${given.name}.json").text = JsonOutput.toJson(given)
        build.tell('publishChecks', [name: given.name, title: given.title])
    }

    def junit(Map given) {
        build.check('junit', given, ['testResults', 'allowEmptyResults'])
        List<String> files = new FileNameFinder().getFileNames(build.here('junit').path, given.testResults)
        if (!files && !given.allowEmptyResults) {
            throw new Failed('No test report files were found. Configuration error?')
        }
        List suites = files.collectMany { new XmlSlurper().parse(new File(it)).depthFirst().findAll { it.name() == 'testsuite' } }
        Map counts = ['tests', 'failures', 'errors'].collectEntries { key -> [key, suites.sum(0) { (it["@${key}"].text() ?: '0') as int }] }
        build.tell('junit', counts)
        if (counts.failures + counts.errors) {
            build.currentBuild.result = 'UNSTABLE'
        }
    }

    def readFile(String path) { new File(build.here('readFile'), path).with { it.file ? it.text : { throw new Failed("NoSuchFileException: ${path}") }() } }

    def findFiles(Map given) {
        build.check('findFiles', given, ['glob'])
        String root = build.here('findFiles').path
        new FileNameFinder().getFileNames(root, given.glob).sort().collect { [name: new File(it).name, path: it - "${root}/"] }
    }
}

class Build {
    final Map given
    final File output
    final File workspace
    final File log
    final PrintStream console
    final PrintStream trace
    final BufferedReader answers = new BufferedReader(new InputStreamReader(System.in))
    final Steps steps = new Steps(this)
    final Env env = new Env(this)
    final CurrentBuild currentBuild = new CurrentBuild()
    final Map<String, String> written = [:]
    final Map<String, String> parameters = [:]
    final List<String> stageNames = []
    final Deque<Map<String, String>> scopes = new ArrayDeque()
    final Deque<Long> deadlines = new ArrayDeque()
    int executors = 0

    Build(Map given, PrintStream trace) {
        this.given = given
        this.trace = trace
        output = new File(given.output)
        output.mkdirs()
        workspace = new File(given.workspace)
        log = new File(output, 'console.log')
        console = new PrintStream(new FileOutputStream(log, true), true)
    }

    void run(Closure body) {
        Stage root = new Stage('pipeline', ['agent', 'options', 'parameters', 'environment', 'stages', 'post'], this, body)
        new Block('pipeline: parameters', ['string'], this, root.block.one('parameters') ?: { }).calls['string'].each { call ->
            parameters[call[0].name] = given.parameters[call[0].name] ?: call[0].defaultValue ?: ''
        }
        boolean posted = false
        Problem error = null
        Closure post = { Problem before -> posted = true; runPost(root, currentBuild.currentResult) ?: before }
        try {
            inOptions(root) {
                inAgent(root) {
                    inEnvironment(root) {
                        error = runStages(root, root.stages, null, null)
                        error = error ?: post(null)
                        posted || post(null)
                    }
                }
            }
        } catch (Problem problem) {
            fail(problem)
            error = error ?: problem
        }
        posted || post(null)
        tell('end', [result: currentBuild.currentResult, error: error?.message])
    }

    Problem runStages(Stage parent, List<Stage> stages, Problem error, String skipped) {
        stages.each { stage ->
            try {
                runStage(stage, error, skipped)
            } catch (Problem problem) {
                fail(problem)
                error = error ?: problem
            }
        }
        if (!skipped && parent.name != 'pipeline') {
            error = runPost(parent, error?.result ?: 'SUCCESS') ?: error
        }
        error
    }

    void runStage(Stage stage, Problem error, String skipped) {
        stageNames.push(stage.name)
        String result = 'SUCCESS'
        String reason = skipped ?: error ? (skipped ?: 'earlier failure') : null
        try {
            within(STAGE_NAME: stage.name) {
                reason = reason ?: guarded(stage)
            }
            if (reason) {
                runStages(stage, stage.stages, null, reason)
                result = 'SKIPPED'
            }
        } catch (Problem problem) {
            result = problem.result
            throw problem
        } finally {
            tell('stage', [result: result, reason: reason])
            stageNames.pop()
        }
    }

    /** Options, agent, when, environment, in Jenkins' order. The reason why the stage was skipped, or null. */
    String guarded(Stage stage) {
        Block when = new Block("${stage.name}: when", ['beforeAgent', *CONDITIONS], this, stage.block.one('when') ?: { })
        boolean wanted = true
        inOptions(stage) {
            wanted = !when.one('beforeAgent') || conditions(when).every()
            wanted && inAgent(stage) {
                wanted = when.one('beforeAgent') || conditions(when).every()
                wanted && inEnvironment(stage) { runBody(stage) }
            }
        }
        wanted ? null : 'when'
    }

    void runBody(Stage stage) {
        Problem error = null
        if (stage.stages) {
            error = runStages(stage, stage.stages, null, null)
        } else {
            try {
                perform(stage.block.one('steps'))
            } catch (Problem problem) {
                fail(problem)
                error = problem
            }
            error = runPost(stage, error?.result ?: 'SUCCESS') ?: error
        }
        if (error) {
            throw error
        }
    }

    /** Each condition that holds, in Jenkins' order, whatever an earlier one did. */
    Problem runPost(Stage stage, String result) {
        Problem error = null
        Map holds = [
            always: true, cleanup: true, aborted: result == 'ABORTED', failure: result == 'FAILURE', success: result == 'SUCCESS',
            unstable: result == 'UNSTABLE', unsuccessful: result != 'SUCCESS',
        ]
        Stage.POST.findAll { holds[it] && stage.post[it] }.each { condition ->
            try {
                tell('post', [condition: condition, of: stage.name])
                perform(stage.post[condition])
            } catch (Problem problem) {
                console.println("Error when executing ${condition} post condition: ${problem.message}")
                fail(problem)
                error = error ?: problem
            }
        }
        error
    }

    static final List<String> CONDITIONS = ['branch', 'changeRequest', 'expression', 'not', 'anyOf', 'allOf']

    List<Boolean> conditions(Block when) {
        Closure inner = { Closure body -> conditions(new Block(when.where, CONDITIONS, this, body)) }
        Map<String, Closure> values = [
            branch: { SelectorUtils.matchPath(it, variables()['BRANCH_NAME']) },
            changeRequest: { variables()['CHANGE_ID'] != null },
            expression: { perform(it) as boolean },
            not: { !inner(it).every() },
            anyOf: { inner(it).any() },
            allOf: { inner(it).every() },
        ]
        when.calls.findAll { it.key in CONDITIONS }.collectMany { name, calls -> calls.collect { values[name](it ? it[0] : null) } }
    }

    void inOptions(Stage stage, Closure body) {
        Map timeout = stage.options.one('timeout')
        timeout ? inTime(timeout, body) : body()
    }

    void inAgent(Stage stage, Closure body) {
        def agent = stage.block.one('agent')
        String label = agent instanceof Closure ? new Block("${stage.name}: agent", ['label'], this, agent).one('label') : agent
        label && label != 'none' ? onAgent(label == 'any' ? '' : label, !stage.options.one('skipDefaultCheckout'), body) : body()
    }

    void inEnvironment(Stage stage, Closure body) {
        Variables variables = new Variables(this)
        Closure assignments = stage.block.one('environment')
        assignments && perform(assignments, variables)
        within(variables.values, body)
    }

    /** One executor for as long as the body runs, in a workspace where nothing of an earlier one is left. */
    void onAgent(String label, boolean fetch, Closure body) {
        if (label && !(label in given.labels)) {
            throw new Unsupported("agent: found label ${label}; agents here have ${given.labels}; Jenkins would wait for one without end")
        }
        executors++
        tell('executor', [taken: true])
        try {
            workspace.mkdirs()
            new File(workspace, '.git').exists() && git(['clean', '-ffdxq', *given.keep.collectMany { ['-e', it] }])
            within(WORKSPACE: workspace.path, NODE_NAME: 'agent') {
                fetch && checkout()
                body()
            }
        } finally {
            executors--
            tell('executor', [taken: false])
        }
    }

    void checkout() {
        if (!new File(workspace, '.git').exists()) {
            git(['init', '-q'])
        }
        git(['fetch', '-q', given.repository, given.commit])
        git(['checkout', '-q', '--force', '--detach', given.commit])
        written.GIT_COMMIT = given.commit
    }

    void git(List<String> arguments) {
        ProcessBuilder starter = new ProcessBuilder(['git'] + arguments).directory(workspace).redirectErrorStream(true)
        starter.redirectOutput(ProcessBuilder.Redirect.appendTo(log))
        if (starter.start().waitFor()) {
            throw new Failed("git ${arguments[0]} failed")
        }
    }

    File here(String step) {
        if (!executors) {
            throw new Failed("${step}: Required context class hudson.FilePath is missing; perhaps you forgot to surround the step with node")
        }
        workspace
    }

    /** Files of the workspace that match Ant's patterns, copied: their names. */
    List<String> copy(String step, String includes, String excludes, File target, File source = here(step)) {
        List<String> found = new FileNameFinder().getFileNames([dir: source.path, includes: includes, excludes: excludes ?: ''])
        found.collect { it - "${source.path}/" }.sort().each { name ->
            File copied = new File(target, name)
            copied.parentFile.mkdirs()
            Files.copy(new File(source, name).toPath(), copied.toPath(), StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.COPY_ATTRIBUTES)
        }
    }

    def inTime(Map given, Closure body) {
        check('timeout', given, ['time', 'unit'])
        long seconds = given.time * [SECONDS: 1, MINUTES: 60, HOURS: 3600, DAYS: 86400][given.unit ?: 'MINUTES']
        deadlines.push(System.nanoTime() + seconds * 1_000_000_000L)
        try { body() } finally { deadlines.pop() }
    }

    int await(Process process) {
        long left = deadlines ? Math.max(0L, deadlines.min() - System.nanoTime()) : Long.MAX_VALUE
        if (!process.waitFor(left, java.util.concurrent.TimeUnit.NANOSECONDS)) {
            process.descendants().each { it.destroy() }
            process.destroy()
            throw new Aborted('Timeout has been exceeded')
        }
        process.exitValue()
    }

    /** The first answer of somebody who may answer; a time that runs out counts only where a timeout is set. */
    Map answer(String submitter) {
        while (true) {
            Map answer = new JsonSlurper().parseText(answers.readLine() ?: '{"timeout": true}')
            if (answer.timeout && !deadlines) {
                throw new Unsupported('input: nobody answers and no timeout is set; Jenkins would wait without end')
            }
            List<String> may = submitter ? submitter.split(/\s*,\s*/) : []
            if (answer.timeout || !may || answer.by in may || may.intersect(answer.groups ?: [])) {
                return answer
            }
            tell('refused', [by: answer.by])
        }
    }

    Map<String, String> variables() {
        Map<String, String> all = given.environ + given.variables + parameters + written
        scopes.descendingIterator().each { all.putAll(it) }
        all
    }

    void within(Map<String, String> more, Closure body) {
        scopes.push(more.collectEntries { [it.key, it.value.toString()] })
        try { body() } finally { scopes.pop() }
    }

    def perform(Closure body, Object delegate = steps) {
        body.delegate = delegate
        body.resolveStrategy = Closure.DELEGATE_ONLY
        body.call()
    }

    Map check(String step, Map found, List<String> known) {
        Set<String> other = found.keySet() - known
        if (other) {
            throw new Unsupported("${step}: found ${other.join(', ')}; this stand-in does ${known.join(', ')}")
        }
        found
    }

    void fail(Problem problem) {
        currentBuild.result = problem.result
        console.println("${problem.class.simpleName}: ${problem.message}")
    }

    File folder(String name) { new File(output, name).tap { mkdirs() } }

    void tell(String event, Map facts) { trace.println(JsonOutput.toJson([event: event, stage: stageNames ? stageNames[0] : null] + facts)) }
}

abstract class OnePipeline extends Script {
    def pipeline(Closure body) { binding.build.run(body) }

    def methodMissing(String name, arguments) { throw new Unsupported("Jenkinsfile: found ${name}; this stand-in runs one pipeline { }") }
}

PrintStream trace = System.out
System.out = System.err
Build build = new Build(new JsonSlurper().parse(new File(args[0])), trace)
try {
    CompilerConfiguration configuration = new CompilerConfiguration(scriptBaseClass: OnePipeline.name)
    new GroovyShell(OnePipeline.classLoader, new Binding(build: build), configuration).evaluate(new File(build.given.jenkinsfile))
} catch (Unsupported | MultipleCompilationErrorsException problem) {
    build.tell('unsupported', [message: problem.message])
    System.exit(2)
}
